"""Everything that decides a training but its data; the network's shape is part of it.

Free of Keras, so that a model bundle can be read without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from model.alphabet import ENGLISH, Alphabet
from model.augmentation import AugmentationSettings
from model.features import FeatureSettings
from model.settings import (
    NOT_CONFIGURABLE,
    BrokenRule,
    RangeError,
    Rule,
    above,
    at_least,
    between,
    check,
)

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class NetworkSettings:
    """Shape of the network.

    Attributes:
        features: Size of an input frame.
        symbols: Size of the output, the blank included.
        kernels: Length of each convolution, in its input frames; odd.
        strides: Stride of each convolution.
        filters: Channels of the convolutions.
        layers: Bidirectional GRU layers.
        units: Units of each direction of a GRU layer.
        dropout: Share of each GRU layer's inputs dropped in training.
    """

    features: int = 80
    symbols: int = 29
    kernels: tuple[int, ...] = (11, 7)
    strides: tuple[int, ...] = (2, 2)
    filters: int = 256
    layers: int = 3
    units: int = 256
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check(
            self,
            at_least(1, "features", "symbols", "filters", "layers", "units"),
            Rule(
                "must be odd and positive, at least one of them",
                ("kernels",),
                lambda kernels: len(kernels) > 0 and all(k > 0 and k % 2 for k in kernels),
            ),
            Rule(
                "must be at least 1 each, as many as kernels",
                ("strides",),
                lambda strides: len(strides) == len(self.kernels) and all(s >= 1 for s in strides),
            ),
            Rule("must be 0 or more and below 1", ("dropout",), lambda share: 0 <= share < 1),
        )

    @property
    def stride(self) -> int:
        """Feature frames in one output frame."""
        product = 1
        for stride in self.strides:
            product *= stride
        return product

    def output_frames(self, frames: Any) -> Any:
        """Return how many frames come out for ``frames`` going in; ints or integer arrays."""
        for stride in self.strides:
            frames = -(-frames // stride)
        return frames


@dataclass(frozen=True)
class TrainingSettings:
    """How the network is trained.

    Attributes:
        minutes: Time to train, the rate falling to zero at its end; 0 uses ``passes``.
        passes: Passes over the data when ``minutes`` is 0.
        batch_s: Seconds of speech in a batch, padding included.
        bucket_s: Rising lengths to which utterances are padded, seconds; few
            lengths mean few compilations.
        learning_rate: Highest rate of Adam.
        warmup_steps: Steps over which the rate rises.
        hold: Share of the training during which the rate stays at its highest.
        clip_norm: Largest norm of a gradient.
        sort_first_pass: Short utterances first in the first pass.
        copies: How often each corpus occurs in a pass; 1 where not named.
        checkpoint_minutes: Time between checkpoints.
        seed: Decides initial weights, order and augmentation.
    """

    minutes: float = 0.0
    passes: int = 10
    batch_s: float = 90.0
    bucket_s: tuple[float, ...] = (1.5, 2.2, 3.0, 4.0, 5.2, 6.8, 9.0, 12.0, 14.5, 17.0)
    learning_rate: float = 1.5e-3
    warmup_steps: int = 200
    hold: float = 0.2
    clip_norm: float = 1.0
    sort_first_pass: bool = True
    copies: dict[str, int] = field(default_factory=dict)
    checkpoint_minutes: float = 5.0
    seed: int = 1

    def __post_init__(self) -> None:
        check(
            self,
            at_least(0, "minutes", "warmup_steps", "seed"),
            above(0, "passes", "batch_s", "learning_rate", "clip_norm", "checkpoint_minutes"),
            Rule(
                "must rise from above 0, at least one of them",
                ("bucket_s",),
                lambda lengths: (
                    len(lengths) > 0
                    and all(a < b for a, b in zip((0.0, *lengths), lengths, strict=False))
                ),
            ),
            between(0, 1, "hold"),
            Rule(
                "must not be negative",
                ("copies",),
                lambda copies: all(count >= 0 for count in copies.values()),
            ),
        )


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training but its data.

    Attributes:
        features: Must equal those of the cached features.
        network: Shape of the network.
        augmentation: Changes to the features.
        training: Length, rate and order.
        alphabet: Symbols of the transcripts; not part of its YAML.
    """

    features: FeatureSettings = field(default_factory=FeatureSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    alphabet: Alphabet = field(default=ENGLISH, metadata=NOT_CONFIGURABLE)

    def __post_init__(self) -> None:
        wanted = {"features": self.features.mels, "symbols": self.alphabet.size}
        broken = [
            BrokenRule("network", f"its {name} must be {value}", getattr(self.network, name))
            for name, value in wanted.items()
            if getattr(self.network, name) != value
        ]
        if broken:
            raise RangeError(broken)


def settings_from(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Return settings from the plain values that ``dataclasses.asdict`` and JSON left of them.

    Raises:
        TypeError: If a field is unknown.
        ValueError: If a value breaks a rule.
    """
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """Return a recipe from its plain values; see :func:`settings_from`.

    Raises:
        KeyError, TypeError, ValueError: If it does not describe a recipe.
    """
    return Recipe(
        features=settings_from(FeatureSettings, values["features"]),
        network=settings_from(NetworkSettings, values["network"]),
        augmentation=settings_from(AugmentationSettings, values["augmentation"]),
        training=settings_from(TrainingSettings, values["training"]),
        alphabet=settings_from(Alphabet, values["alphabet"]),
    )
