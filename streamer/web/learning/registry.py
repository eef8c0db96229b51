"""The models that were learned, which one is in use, and what each recording is used for.

All of it stands in one small file beside the models' folders.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from model.bundle import SETTINGS_FILE
from model.errors import CaptionerError
from streamer.web.errors import Conflict, NotFound
from streamer.web.learning.holding_out import Side, sides
from streamer.web.private import make_private_folder, write_private

SHIPPED = "shipped"
"""What the program's own model is called here: that of the settings."""

MODELS_FOLDER = "models"
REGISTRY_FILE = "models.json"
NAME = re.compile(r"mine-[1-9][0-9]{0,5}")
SCHEMA = 1


class LearningError(CaptionerError):
    """What is remembered of learning, or written for it, cannot be read or written."""

    status = 503


@dataclass(frozen=True)
class LearnedModel:
    """A model that was learned from corrections.

    Attributes:
        name: Also that of its folder.
        created: When it was finished, ISO 8601.
        base: Name of the model that it started from.
        minutes: Time spent training.
        steps: Batches trained on.
        recordings: Ids of the recordings that it learned from.
        forgotten: How many others it learned from that were deleted since.
        judgement: Figures before and after, as :mod:`streamer.web.learning.judging` has them.
        share: Of the trained weights in it; the rest are those of its base.
    """

    name: str
    created: str
    base: str
    minutes: float
    steps: int
    recordings: tuple[str, ...] = ()
    forgotten: int = 0
    judgement: Mapping[str, Any] = field(default_factory=dict)
    share: float = 1.0


@dataclass(frozen=True)
class RegistryState:
    """All that is remembered.

    Attributes:
        in_use: ``SHIPPED``, or the name of a learned model.
        before: Those in use before, the latest last.
        made: How many were ever begun; numbers the next one.
        models: The learned models, the oldest first.
        sides: What each corrected recording is used for.
    """

    in_use: str = SHIPPED
    before: tuple[str, ...] = ()
    made: int = 0
    models: tuple[LearnedModel, ...] = ()
    sides: Mapping[str, Side] = field(default_factory=dict)


class Registry:
    """Keeps a :class:`RegistryState` in a file; may be used from any thread.

    Args:
        folder: Of the models; made when missing.

    Raises:
        LearningError: If the file is damaged, or the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._change = threading.Lock()
        try:
            make_private_folder(folder)
        except OSError as error:
            raise _unwritable(folder, error) from error
        self._state = _read(folder / REGISTRY_FILE)

    @property
    def state(self) -> RegistryState:
        """What is remembered at this moment."""
        return self._state

    def path(self, name: str) -> Path:
        """Return the folder of a learned model's bundle."""
        return self.folder / name

    def model(self, name: str) -> LearnedModel:
        """Return a learned model; raises NotFound."""
        for model in self._state.models:
            if model.name == name:
                return model
        raise NotFound(f"there is no learned model {name!r}; the page shows those that there are")

    def next_name(self) -> str:
        """Return a name that no model had before."""
        state = self._changed(lambda state: replace(state, made=state.made + 1))
        return f"mine-{state.made}"

    def sides(self, recordings: Iterable[str]) -> dict[str, Side]:
        """Decide what each recording is used for, and remember it; see :func:`sides`.

        What a model has learned from never judges, and what is held out is never learned
        from.  Only where nothing is held out any more, as after deletions, those that no
        model has learned from yet are decided anew.
        """
        names = tuple(recordings)

        def decided(state: RegistryState) -> dict[str, Side]:
            chosen = sides(names, state.sides)
            if "held_out" in chosen.values():
                return chosen
            learned = {name for model in state.models for name in model.recordings}
            return sides(names, {name: "train" for name in state.sides if name in learned})

        state = self._changed(lambda s: replace(s, sides={**s.sides, **decided(s)}))
        return {name: state.sides[name] for name in names}

    def add(self, model: LearnedModel) -> None:
        """Remember a model whose bundle is in its folder already."""
        self._changed(lambda state: replace(state, models=(*state.models, model)))

    def use(self, name: str) -> None:
        """Remember that a model is in use now."""

        def used(state: RegistryState) -> RegistryState:
            if state.in_use == name:
                return state
            before = tuple(other for other in state.before if other != name)
            return replace(state, in_use=name, before=(*before, state.in_use))

        self._changed(used)

    def return_to(self, name: str) -> None:
        """Remember that the model ``name``, the last one before, is in use again."""
        self._changed(
            lambda state: replace(
                state, in_use=name, before=tuple(n for n in state.before if n != name)
            )
        )

    def delete(self, name: str) -> None:
        """Delete a learned model that is not in use.

        Raises:
            NotFound: If there is none of that name.
            Conflict: If it is in use.
        """
        self.model(name)

        def without(state: RegistryState) -> RegistryState:
            if state.in_use == name:
                raise Conflict(f"{name} is in use; roll back to another model first")
            return replace(
                state,
                models=tuple(model for model in state.models if model.name != name),
                before=tuple(other for other in state.before if other != name),
            )

        self._changed(without)
        shutil.rmtree(self.path(name), ignore_errors=True)

    def forget(self, recording: str) -> None:
        """Drop the id of a recording that was deleted; its models are marked."""

        def without(state: RegistryState) -> RegistryState:
            return replace(
                state,
                models=tuple(_forgetting(model, recording) for model in state.models),
                sides={name: side for name, side in state.sides.items() if name != recording},
            )

        if recording in self._known():
            self._changed(without)

    def keep_only(self, recordings: Iterable[str]) -> None:
        """Forget every recording but these."""
        for name in self._known() - set(recordings):
            self.forget(name)

    def _known(self) -> set[str]:
        learned = (name for model in self._state.models for name in model.recordings)
        return {*self._state.sides, *learned}

    def _changed(self, change: Callable[[RegistryState], RegistryState]) -> RegistryState:
        """Change what is remembered, in the file first.

        Raises:
            LearningError: If it cannot be written; all stays as it was.
        """
        with self._change:
            state = change(self._state)
            if state != self._state:
                _write(self.folder / REGISTRY_FILE, state)
                self._state = state
            return state


def model_in_use(folder: Path) -> Path | None:
    """Return the bundle that was chosen on the learn page; None for the program's own.

    Args:
        folder: Of the data: the library's.

    Raises:
        LearningError: If what is remembered is damaged.
    """
    models = folder / MODELS_FOLDER
    path = models / _read(models / REGISTRY_FILE).in_use
    return path if path.name != SHIPPED and (path / SETTINGS_FILE).is_file() else None


def _forgetting(model: LearnedModel, recording: str) -> LearnedModel:
    if recording not in model.recordings:
        return model
    rest = tuple(name for name in model.recordings if name != recording)
    return replace(model, recordings=rest, forgotten=model.forgotten + 1)


def _read(path: Path) -> RegistryState:
    try:
        if not path.exists():
            return RegistryState()
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("schema") != SCHEMA:
            raise ValueError("was written by another version of the program")
        return _state(record)
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise LearningError(
            f"{path}: cannot be read ({error}); mend it, or delete it to begin with the "
            "program's own model and without the learned ones"
        ) from error


def _state(record: dict[str, Any]) -> RegistryState:
    models = tuple(
        LearnedModel(**{**model, "recordings": tuple(model["recordings"])})
        for model in record["models"]
    )
    state = RegistryState(**{**record, "before": tuple(record["before"]), "models": models})
    names = [state.in_use, *state.before, *(model.name for model in models)]
    if not all(name == SHIPPED or NAME.fullmatch(name) for name in names):
        raise ValueError("names a model as none is named")
    return state


def _write(path: Path, state: RegistryState) -> None:
    content = json.dumps({"schema": SCHEMA, **asdict(state)}, indent=1) + "\n"
    try:
        write_private(path, content.encode())
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> LearningError:
    return LearningError(
        f"{path}: cannot be written ({error.strerror or error}); make room, and try again"
    )
