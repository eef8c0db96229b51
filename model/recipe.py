"""Everything that decides a training but its data; the network's shape is part of it.

Free of Keras, so that a model bundle can be read without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from model.alphabet import ENGLISH, Alphabet
from model.features import FeatureSettings
from model.records import settings_from
from model.settings import (
    NOT_CONFIGURABLE,
    BrokenRule,
    RangeError,
    Rule,
    above,
    at_least,
    between,
    check,
    one_of,
)
from model.variation.augmentation import AugmentationSettings
from model.variation.perturbation import PerturbationSettings
from model.variation.surroundings import SurroundingsSettings

Cell = Literal["gru", "lstm", "rnn"]
Normalisation = Literal["layer", "batch", "none"]
Decay = Literal["cosine", "linear", "constant"]
Optimizer = Literal["adam", "muon"]


@dataclass(frozen=True)
class NetworkSettings:
    """Shape of the network: convolutions, recurrent layers, a dense layer a frame.

    Attributes:
        features: Size of an input frame.
        symbols: Size of the output, the blank included.
        kernels: Length of each convolution, in its input frames; odd.  None is none.
        strides: Stride of each convolution.
        dilations: Distance between the frames that a convolution reads, for each; 1
            for all where empty.
        filters: Channels of the convolutions.
        cell: Kind of the recurrent layers: gated recurrent units (GRU), long
            short-term memory (LSTM) or a plain hyperbolic tangent.
        bidirectional: Whether the recurrent layers read backwards as well.
        layers: Recurrent layers.
        units: Units of each direction of a recurrent layer.
        normalisation: What follows each convolution and recurrent layer: layer
            normalisation (Ba et al., 2016), batch normalisation (Ioffe and Szegedy,
            2015) over the frames that are no padding, or nothing.
        dense: Whether a dense layer makes the outputs; else they are those of the
            last recurrent layer itself.
        dropout: Share of each recurrent layer's inputs dropped in training.
        intermediate: Recurrent layers, counted from 1, after which the dense layer
            gives outputs for the training as well (Lee and Watanabe, 2021).
    """

    features: int = 80
    symbols: int = 29
    kernels: tuple[int, ...] = (11, 7)
    strides: tuple[int, ...] = (2, 2)
    dilations: tuple[int, ...] = ()
    filters: int = 256
    cell: Cell = "gru"
    bidirectional: bool = True
    layers: int = 3
    units: int = 256
    normalisation: Normalisation = "layer"
    dense: bool = True
    dropout: float = 0.0
    intermediate: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check(
            self,
            between(1, 16_384, "features"),
            between(1, 4096, "symbols", "filters", "units"),
            between(1, 64, "layers"),
            Rule(
                "must be odd and positive, 16 at most of up to 999 each",
                ("kernels",),
                lambda kernels: len(kernels) <= 16 and all(0 < k < 1000 and k % 2 for k in kernels),
            ),
            Rule(
                "must be at least 1 each, as many as kernels",
                ("strides",),
                lambda strides: len(strides) == len(self.kernels) and all(s >= 1 for s in strides),
            ),
            Rule(
                "must be empty, or as many as kernels, at least 1 each, 1 where strides are not",
                ("dilations",),
                self._can_dilate,
            ),
            one_of(get_args(Cell), "cell"),
            one_of(get_args(Normalisation), "normalisation"),
            Rule("must be 0 or more and below 1", ("dropout",), lambda share: 0 <= share < 1),
            Rule(
                "must be true, unless units are symbols and bidirectional is false",
                ("dense",),
                lambda dense: dense or (self.units == self.symbols and not self.bidirectional),
            ),
            Rule(
                "must rise from 1 to below layers, and needs dense",
                ("intermediate",),
                lambda places: (
                    all(a < b for a, b in zip((0, *places), (*places, self.layers), strict=True))
                    and (self.dense or not places)
                ),
            ),
        )

    def _can_dilate(self, dilations: tuple[int, ...]) -> bool:
        return not dilations or (
            len(dilations) == len(self.kernels)
            and all(
                dilation >= 1 and (dilation == 1 or stride == 1)
                for dilation, stride in zip(dilations, self.strides, strict=False)
            )
        )

    @property
    def directions(self) -> int:
        """Directions in which a recurrent layer reads: 1 or 2."""
        return 2 if self.bidirectional else 1

    @property
    def width(self) -> int:
        """Size of a frame that leaves a recurrent layer."""
        return self.directions * self.units

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
        minutes: Time to train, the rate falling until its end; 0 uses ``passes``.
        passes: Passes over the data when ``minutes`` is 0.
        batch_s: Seconds of speech in a batch, padding included.
        bucket_s: Rising lengths to which utterances are padded, seconds; few
            lengths mean few compilations.
        optimizer: Adam for all weights, or Muon for the matrices within the network.
        learning_rate: Highest rate.
        warmup_steps: Steps over which the rate rises.
        hold: Share of the training during which the rate stays at its highest.
        decay: How the rate falls after that.
        final_rate: Share of the highest rate that is left at the end; constant keeps it all.
        clip_norm: Largest norm of a gradient.
        average: Decay of the moving average of the weights in a step, which is judged and
            exported in place of the weights; 0 for none.
        intermediate_weight: Share of the loss that the outputs after the layers of
            ``network.intermediate`` have (Lee and Watanabe, 2021); 0 for none.
        consistency: Weight of the difference between what is read from two views of each
            utterance, masked and dropped out apart, both in the batch (CR-CTC; Yao et al.,
            2024); 0 for one view.
        sort_first_pass: Short utterances first in the first pass.
        copies: How often each corpus occurs in a pass; 1 where not named.
        base_share: Share of the speech in a pass that is drawn from the base manifests,
            anew for each pass, where there are any.
        checkpoint_minutes: Time between checkpoints.
        judge_minutes: Training time between evaluations within a pass; 0 evaluates after
            each pass only.
        log_steps: Steps between rows of the step log.
        seed: Decides initial weights, order and augmentation.
    """

    minutes: float = 0.0
    passes: int = 10
    batch_s: float = 90.0
    bucket_s: tuple[float, ...] = (1.5, 2.2, 3.0, 4.0, 5.2, 6.8, 9.0, 12.0, 14.5, 17.0)
    optimizer: Optimizer = "adam"
    learning_rate: float = 1.5e-3
    warmup_steps: int = 200
    hold: float = 0.2
    decay: Decay = "cosine"
    final_rate: float = 0.0
    clip_norm: float = 1.0
    average: float = 0.0
    intermediate_weight: float = 0.0
    consistency: float = 0.0
    sort_first_pass: bool = True
    copies: dict[str, int] = field(default_factory=dict)
    base_share: float = 0.5
    checkpoint_minutes: float = 5.0
    judge_minutes: float = 0.0
    log_steps: int = 20
    seed: int = 1

    def __post_init__(self) -> None:
        check(
            self,
            at_least(0, "minutes", "warmup_steps", "judge_minutes", "consistency", "seed"),
            at_least(1, "log_steps"),
            above(0, "passes", "batch_s", "learning_rate", "clip_norm", "checkpoint_minutes"),
            Rule(
                "must rise from above 0, at least one of them",
                ("bucket_s",),
                lambda lengths: (
                    len(lengths) > 0
                    and all(a < b for a, b in zip((0.0, *lengths), lengths, strict=False))
                ),
            ),
            one_of(get_args(Optimizer), "optimizer"),
            one_of(get_args(Decay), "decay"),
            between(0, 1, "hold", "final_rate"),
            Rule(
                "must be 0 or more and below 1",
                ("average", "intermediate_weight", "base_share"),
                lambda share: 0 <= share < 1,
            ),
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
        network: Shape of the network; its default of ``features`` follows from the features.
        augmentation: Changes to the features.
        surroundings: Rooms, noise and levels computed on the features.
        perturbation: Changes to the sound of which they are computed.
        training: Length, rate and order.
        alphabet: Symbols of the transcripts; not part of its YAML.
    """

    features: FeatureSettings = field(default_factory=FeatureSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    surroundings: SurroundingsSettings = field(default_factory=SurroundingsSettings)
    perturbation: PerturbationSettings = field(default_factory=PerturbationSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    alphabet: Alphabet = field(default=ENGLISH, metadata=NOT_CONFIGURABLE)

    def __post_init__(self) -> None:
        if self.network.features == NetworkSettings.features:
            network = replace(self.network, features=self.features.size)
            object.__setattr__(self, "network", network)
        wanted = {"features": self.features.size, "symbols": self.alphabet.size}
        broken = [
            BrokenRule("network", f"its {name} must be {value}", getattr(self.network, name))
            for name, value in wanted.items()
            if getattr(self.network, name) != value
        ]
        if self.features.kind == "mfcc" and self.augmentation.vocal_tract:
            rule = "its vocal_tract must be 0 where features.kind is mfcc: cepstra have no mel axis"
            broken.append(BrokenRule("augmentation", rule, self.augmentation.vocal_tract))
        if self.features.kind == "mfcc" and self.surroundings.any:
            rule = "its shares must be 0 where features.kind is mfcc: cepstra are no powers"
            broken.append(BrokenRule("surroundings", rule, self.surroundings))
        if self.training.intermediate_weight and not self.network.intermediate:
            rule = "its intermediate_weight must be 0 where network.intermediate is empty"
            broken.append(BrokenRule("training", rule, self.training.intermediate_weight))
        if broken:
            raise RangeError(broken)


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """Return a recipe from its plain values; see :func:`model.records.settings_from`.

    Raises:
        KeyError, TypeError, ValueError: If it does not describe a recipe.
    """
    return Recipe(
        features=settings_from(FeatureSettings, values["features"]),
        network=settings_from(NetworkSettings, values["network"]),
        augmentation=settings_from(AugmentationSettings, values["augmentation"]),
        surroundings=settings_from(SurroundingsSettings, values.get("surroundings", {})),
        perturbation=settings_from(PerturbationSettings, values.get("perturbation", {})),
        training=settings_from(TrainingSettings, values["training"]),
        alphabet=settings_from(Alphabet, values["alphabet"]),
    )
