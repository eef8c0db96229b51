"""What is to be measured, and what is written of it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.live.arguments import machine_load
from model.acoustic import AcousticModel
from model.bundle import SETTINGS_FILE
from model.corpora.manifest import Utterance, read_manifest
from model.errors import UsageError
from model.evaluation.assessment import check_recordings, first_of_each
from model.files import check_folder
from model.settings import load_settings
from streamer.decoders import beside_program
from streamer.settings import LiveSettings


@dataclass(frozen=True)
class BenchOptions:
    """What the command lines have in common; see the programs' ``--help``."""

    manifest: Path
    json: Path | None = None
    limit: int = 0
    model: Path | None = None
    engine: str | None = None
    config: Path | None = None
    overrides: Sequence[str] = ()

    def settings(self) -> LiveSettings:
        """Return the settings of the live path.

        Raises:
            SettingsError: If one is unknown or out of its range.
        """
        chosen = [*self.overrides]
        chosen += [f"model={self.model}"] if self.model else []
        chosen += [f"engine={self.engine}"] if self.engine else []
        return load_settings(LiveSettings, self.config, chosen)

    def rows(self) -> list[Utterance]:
        """Return the recordings.

        Raises:
            CaptionerError: If the manifest or a recording cannot be used.
        """
        rows = read_manifest(self.manifest)
        rows = first_of_each(rows, self.limit) if self.limit else rows
        check_recordings(row.audio for row in rows)
        return rows

    def check_output(self) -> None:
        """Find out before the work whether the figures can be written.

        Raises:
            UsageError: If not.
        """
        check_output(self.json)


def check_output(path: Path | None) -> None:
    """Find out whether figures can be written to a file, if there is to be one.

    Raises:
        UsageError: If not.
    """
    if path is None:
        return
    if path.suffix != ".json":
        raise UsageError(
            f"{path}: no name for the figures, they are JSON; end it with .json, "
            "table, pictures and log get the same name with other endings"
        )
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give the file to write")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}; make it first")
    check_folder(path.parent)


def changed_settings(settings: LiveSettings) -> list[str]:
    """Return the settings that are not as they are by default, as for ``--set``."""
    defaults = _flat(asdict(LiveSettings()))
    chosen = _flat(asdict(settings))
    return [f"{key}={value}" for key, value in chosen.items() if value != defaults.get(key)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their names with points."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat


def json_bytes(record: Mapping[str, Any]) -> bytes:
    """Return figures as they are written."""
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()


def conditions(
    options: BenchOptions,
    settings: LiveSettings,
    acoustic: AcousticModel,
    rows: Sequence[Utterance],
) -> dict[str, Any]:
    """Return what figures depend on: recordings, models, settings, machine and versions."""
    bundle = beside_program(settings.model) / SETTINGS_FILE
    return {
        "manifest": options.manifest.name,
        "recordings": len(rows),
        "recordings_of_each_corpus": options.limit or None,
        "model": acoustic.bundle.name,
        "weights_sha256": json.loads(bundle.read_bytes())["weights_sha256"],
        "engine": settings.engine,
        "language_model": str(settings.decoder.language_model or "") or None,
        "settings": changed_settings(settings),
        **machine(),
    }


def machine() -> dict[str, Any]:
    """Return what figures depend on besides: the machine and the versions of libraries.

    ``cpu_load`` is how many programs of the machine worked, or waited to, in the minute before:
    where there are more than cores, times by the wall clock tell more of them.
    """
    return {
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "cpu_load": machine_load(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", "onnxruntime", "kenlm")},
    }
