"""A library of corrected recordings in which letters are tones, and a model to learn them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from model.acoustic import AcousticModel
from model.alphabet import ENGLISH
from model.bundle import ModelBundle, save_bundle
from model.corpora.manifest import write_manifest
from model.features import FeatureSettings, FeatureStatistics
from model.recipe import NetworkSettings
from model.weights import weight_shapes
from streamer.settings import DecoderSettings, LearningSettings, LiveSettings
from streamer.web.learning.learning import Learning
from tests.lm.toys import write_arpa
from tests.model.conftest import RATE, speak, write_recording

RECIPE = """\
augmentation: {tempo: 0.0, vocal_tract: 0.0}
training:
  batch_s: 60
  bucket_s: [2.0]
  learning_rate: 5e-3
  warmup_steps: 2
"""


@dataclass(frozen=True)
class Segment:
    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Recording:
    id: str
    title: str
    audio: Path
    segments: Sequence[Segment]


@dataclass
class ToyLibrary:
    """Holds corrected recordings, as the library gives them."""

    folder: Path
    recordings: dict[str, Recording] = field(default_factory=dict)
    listeners: list[Callable[[str], None]] = field(default_factory=list)

    def corrected(self) -> list[Recording]:
        return list(self.recordings.values())

    def ids(self) -> set[str]:
        return set(self.recordings)

    def on_delete(self, listener: Callable[[str], None], /) -> None:
        self.listeners.append(listener)

    def delete(self, id: str) -> None:
        self.recordings.pop(id).audio.unlink()
        for listener in self.listeners:
            listener(id)

    def add(self, id: str, *texts: str, heard: Sequence[str] = ()) -> Recording:
        """Add a recording in which ``heard`` is said and its user wrote ``texts``."""
        pieces = [speak(text, seed) for seed, text in enumerate(heard or texts)]
        ends = np.cumsum([len(piece) for piece in pieces]) / RATE
        starts = [0.0, *ends[:-1]]
        # Each letter is a tenth of a second, and so is the silence at both ends.
        segments = tuple(
            Segment(round(start + 0.1, 3), round(float(end) - 0.1, 3), text)
            for start, end, text in zip(starts, ends, texts, strict=True)
        )
        audio = self.folder / f"{id}.wav"
        soundfile.write(audio, np.concatenate(pieces), RATE, "PCM_16")
        self.recordings[id] = Recording(id, f"Recording {id[:4]}", audio, segments)
        return self.recordings[id]


@dataclass
class ToyModels:
    """Holds the model in use."""

    path: Path
    acoustic: AcousticModel
    used: list[Path] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.acoustic.bundle.name

    def use(self, path: Path) -> None:
        self.acoustic = AcousticModel.load(path)
        self.path = path
        self.used.append(path)


@dataclass
class Shop:
    """A server's learning without the server."""

    folder: Path
    library: ToyLibrary
    models: ToyModels
    settings: LiveSettings

    def open(self) -> Learning:
        return Learning.open(self.folder, self.library, self.models, self.settings)


def id_of(name: str) -> str:
    """Return an id as recordings have it."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def random_bundle() -> ModelBundle:
    """Return a small network that writes random letters."""
    network = NetworkSettings(kernels=(5,), strides=(2,), filters=12, layers=1, units=12)
    random = np.random.default_rng(5)
    weights = {
        name: random.normal(1 if name.endswith("gamma") else 0, 0.4, shape).astype(np.float32)
        for name, shape in weight_shapes(network).items()
    }
    mels = network.features
    statistics = FeatureStatistics(np.full(mels, -6, np.float32), np.full(mels, 2, np.float32))
    return ModelBundle("toy", ENGLISH, FeatureSettings(), statistics, network, weights)


def make_shop(folder: Path, **learning: object) -> Shop:
    """Return a shop with a random network, its recipe and a test recording, in new folders."""
    for name in ("data", "audio", "test"):
        (folder / name).mkdir(parents=True)
    bundle = save_bundle(random_bundle(), folder / "toy")
    (folder / "recipe.yaml").write_text(RECIPE)
    test = folder / "test" / "manifest.jsonl"
    write_manifest(test, [write_recording(folder / "test" / "abba.wav", "abba", 7)])
    settings = LiveSettings(
        model=bundle,
        decoder=DecoderSettings(language_model=write_arpa(folder / "toy.arpa")),
        learning=LearningSettings(
            **{"recipe": folder / "recipe.yaml", "test": test, "niceness": 10, **learning}  # type: ignore[arg-type]
        ),
    )
    models = ToyModels(bundle, AcousticModel.load(bundle))
    return Shop(folder / "data", ToyLibrary(folder / "audio"), models, settings)


def fill(library: ToyLibrary) -> None:
    """Add four recordings of a few segments each."""
    for number, texts in enumerate(
        (("ab", "ba cab"), ("cab", "abba", "a cab"), ("bac ab", "cc"), ("b a c", "ca"))
    ):
        library.add(id_of(str(number)), *texts)
