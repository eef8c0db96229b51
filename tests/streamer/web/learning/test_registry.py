from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from model.bundle import SETTINGS_FILE
from streamer.web.errors import Conflict, NotFound
from streamer.web.learning.registry import (
    MODELS_FOLDER,
    REGISTRY_FILE,
    SHIPPED,
    LearnedModel,
    LearningError,
    Registry,
    model_in_use,
)
from tests.streamer.web.learning.toys import id_of


def model(name: str, *recordings: str) -> LearnedModel:
    return LearnedModel(name, "2026-01-01T00:00:00+00:00", "toy", 1.5, 10, recordings)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    found = Registry(tmp_path / MODELS_FOLDER)
    for name in ("mine-1", "mine-2"):
        found.path(name).mkdir()
        (found.path(name) / SETTINGS_FILE).write_text("{}")
        found.add(model(found.next_name(), "a", "b"))
    return found


def test_what_is_remembered_survives_a_restart(registry: Registry) -> None:
    registry.use("mine-2")
    registry.sides([id_of("1"), id_of("2")])
    again = Registry(registry.folder)
    assert again.state == registry.state
    assert again.next_name() == "mine-3"
    path = registry.folder / REGISTRY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(registry.folder.stat().st_mode) == 0o700


def test_the_model_in_use_is_found_without_the_server(registry: Registry) -> None:
    data = registry.folder.parent
    assert model_in_use(data) is None
    registry.use("mine-1")
    assert model_in_use(data) == registry.path("mine-1")
    (registry.path("mine-1") / SETTINGS_FILE).unlink()
    assert model_in_use(data) is None
    assert model_in_use(data / "elsewhere") is None


def test_models_of_before_are_returned_to_one_after_the_other(registry: Registry) -> None:
    for name in ("mine-1", "mine-2", "mine-1"):
        registry.use(name)
    assert (registry.state.in_use, registry.state.before) == ("mine-1", (SHIPPED, "mine-2"))
    registry.return_to("mine-2")
    registry.return_to(SHIPPED)
    assert (registry.state.in_use, registry.state.before) == (SHIPPED, ())


def test_a_model_in_use_cannot_be_deleted_and_others_go_with_their_files(
    registry: Registry,
) -> None:
    registry.use("mine-1")
    registry.use("mine-2")
    with pytest.raises(Conflict, match="mine-2 is in use"):
        registry.delete("mine-2")
    registry.delete("mine-1")
    assert not registry.path("mine-1").exists()
    assert registry.state.before == (SHIPPED,)
    with pytest.raises(NotFound):
        registry.delete("mine-1")


def test_models_that_learned_from_a_deleted_recording_are_marked(registry: Registry) -> None:
    registry.sides(["a", "b"])
    registry.forget("a")
    assert registry.model("mine-1").recordings == ("b",)
    assert registry.model("mine-1").forgotten == 1
    registry.keep_only([])
    assert registry.model("mine-2").forgotten == 2
    assert registry.state.sides == {}
    assert "a" not in json.loads((registry.folder / REGISTRY_FILE).read_text())["sides"]


def test_where_nothing_is_held_out_any_more_only_what_no_model_learned_from_may_be(
    tmp_path: Path,
) -> None:
    registry = Registry(tmp_path)
    names = [id_of(str(number)) for number in range(4)]
    first = registry.sides(names)
    learned, *others = [name for name in names if first[name] == "train"]
    registry.add(model("mine-1", learned))
    for name in names:
        if first[name] == "held_out":
            registry.forget(name)
    again = registry.sides([learned, *others])
    assert again[learned] == "train"
    assert "held_out" in again.values()
    assert registry.sides([learned]) == {learned: "train"}
    assert Registry(tmp_path).sides([learned, *others]) == again


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"schema": 2, "models": []}',
        '{"schema": 1, "models": [], "before": [], "in_use": "../../etc"}',
        '{"schema": 1, "models": [{"name": "mine-1"}], "before": []}',
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / REGISTRY_FILE).write_text(content)
    with pytest.raises(LearningError, match=r"models\.json: cannot be read"):
        Registry(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LearningError, match="cannot be written"):
        Registry(tmp_path / "file" / "models")
