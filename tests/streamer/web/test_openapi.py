"""The description of the interface, and a server that does what it says whatever it is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
import yaml
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import FinalTranscript, Word
from streamer.web import openapi
from streamer.web.library.library import Library
from streamer.web.openapi import description

EXAMPLES = 12
"""Random requests for each operation, besides those at the edges of what is allowed."""

CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": 7,
        "generation": {"deterministic": True, "no-shrink": True, "database": "none"},
        "checks": {
            # Unknown queries are passed over, and random bytes are no audio file.
            "negative_data_rejection": {"enabled": False},
            "positive_data_acceptance": {"enabled": False},
            # Made for a random order of requests; deletion has tests of its own.
            "use_after_free": {"enabled": False},
            "ensure_resource_availability": {"enabled": False},
        },
    }
)

HARMLESS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

SCHEMA = schemathesis.openapi.from_dict(description(), config=CONFIG)

JSON_PARTS = ("/api/", "/healthz", "/metrics", "/openapi.json")


def keep_recording(library: Library) -> str:
    """Put a recording of a second into a library and return its id."""
    kept = library.begin("Fuzz & <co>", "upload", "none")
    kept.push(AudioBlock(np.zeros(SAMPLE_RATE, np.float32), 0))
    words = (Word("hello", 0.1, 0.5, 0.9),)
    kept.add(FinalTranscript(1, "hello", words, 0.0, 1.0, 1.0, "end"))
    kept.finish()
    return kept.id


def references(value: Any) -> Iterator[str]:
    """Yield what a description refers to."""
    if isinstance(value, dict):
        yield from [value["$ref"]] if "$ref" in value else []
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas of objects."""
    if isinstance(value, dict):
        if value.get("type") == "object" and "properties" in value:
            yield value
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


def test_the_description_is_valid_openapi() -> None:
    SCHEMA.validate()
    assert description()["openapi"] == "3.1.0"
    assert json.loads(json.dumps(description())) == description()


def test_everything_that_is_referred_to_is_there() -> None:
    for reference in set(references(description())):
        found = description()
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


def test_bodies_are_strict() -> None:
    for schema in objects(description()):
        assert schema.get("additionalProperties") is False, schema


def test_every_operation_has_a_name_and_a_tag() -> None:
    known = {tag["name"] for tag in description()["tags"]}
    operations = [
        operation
        for path in description()["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert operation["summary"]
        assert set(operation["tags"]) <= known


def routes_of(app: Flask) -> set[tuple[str, str]]:
    """Return method and path template of every route that programs use."""
    return {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS") and rule.rule.startswith(JSON_PARTS)
    }


def test_every_route_is_described_and_nothing_else(site: Any) -> None:
    described = {
        (method, path)
        for path, item in description()["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert described == routes_of(site.app)


def test_a_part_that_describes_a_path_again_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("base.yaml", "more.yaml"):
        content = {"paths": {"/x": {}}, "components": {}}
        (tmp_path / name).write_text(yaml.safe_dump(content))
    monkeypatch.setattr(openapi, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"more\.yaml: describes /x a second time"):
        description.__wrapped__()


@SCHEMA.parametrize()
@HARMLESS
def test_the_server_does_what_is_described(case: schemathesis.Case, site: Any) -> None:
    """Every answer has a status, headers and a body that the description has.

    Half of the requests for a recording are for one that is there.
    """
    if "id" in (case.path_parameters or {}) and len(str(case.query)) % 2:
        case.path_parameters["id"] = keep_recording(site.services.library)
    case.call_and_validate(base_url=site.url)
