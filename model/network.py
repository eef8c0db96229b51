"""The acoustic network: strided convolutions, bidirectional GRUs, a dense layer a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from model.recurrent import BidirectionalGRU


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
    dropout: float = 0.1

    def __post_init__(self) -> None:
        rules = {
            "kernels and strides: must be as many, at least one": len(self.kernels)
            == len(self.strides)
            >= 1,
            "kernels: must be odd and positive": all(k > 0 and k % 2 for k in self.kernels),
            "strides: must be at least 1": all(stride >= 1 for stride in self.strides),
            "features, symbols, filters, layers, units: must be at least 1": min(
                self.features, self.symbols, self.filters, self.layers, self.units
            )
            >= 1,
            "dropout: must be 0 or more and below 1": 0 <= self.dropout < 1,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ValueError("network." + "; network.".join(broken))

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


@keras.saving.register_keras_serializable("captioner")
class MaskedFrames(keras.layers.Layer):  # type: ignore[misc]
    """Set the frames at or after each sequence's length to zero."""

    def call(self, inputs: Any, lengths: Any) -> Any:
        steps = ops.arange(ops.shape(inputs)[1])
        present = steps[None, :] < ops.cast(lengths, "int32")[:, None]
        return inputs * ops.cast(present, inputs.dtype)[:, :, None]


@keras.saving.register_keras_serializable("captioner")
class StridedLengths(keras.layers.Layer):  # type: ignore[misc]
    """Divide lengths by a stride, rounding up."""

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, lengths: Any) -> Any:
        return (lengths + (self.stride - 1)) // self.stride

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stride": self.stride}


def build_network(settings: NetworkSettings) -> keras.Model:
    """Return the network, untrained.

    Its inputs are features float32 (batch, frames, features), zero beyond each
    length, and lengths int32 (batch,); its output is logits float32
    (batch, ``output_frames(frames)``, symbols).  A row's logits within its
    length do not depend on the padding.
    """
    features = keras.Input((None, settings.features), name="features")
    lengths = keras.Input((), dtype="int32", name="lengths")
    hidden, remaining = features, lengths
    for index, (kernel, stride) in enumerate(zip(settings.kernels, settings.strides, strict=True)):
        hidden = keras.layers.ZeroPadding1D(kernel // 2)(hidden)
        hidden = keras.layers.Conv1D(
            settings.filters, kernel, strides=stride, name=f"convolution_{index}"
        )(hidden)
        hidden = keras.layers.LayerNormalization(name=f"convolution_{index}_norm")(hidden)
        hidden = keras.layers.Activation("relu")(hidden)
        remaining = StridedLengths(stride)(remaining)
        hidden = MaskedFrames()(hidden, remaining)
    for index in range(settings.layers):
        if settings.dropout:
            hidden = keras.layers.Dropout(settings.dropout)(hidden)
        hidden = BidirectionalGRU(settings.units, name=f"gru_{index}")(hidden, remaining)
        hidden = keras.layers.LayerNormalization(name=f"gru_{index}_norm")(hidden)
    logits = keras.layers.Dense(settings.symbols, name="time_distributed_dense")(hidden)
    return keras.Model([features, lengths], logits, name="acoustic")


def ctc_loss(labels: Any, label_lengths: Any, logits: Any, logit_lengths: Any) -> Any:
    """Return the negative log-likelihood of each row's labels, float (batch,).

    Connectionist temporal classification (Graves et al., 2006) with the blank at
    index 0 and each row's own length of labels and logits.
    """
    return ops.ctc_loss(labels, logits, label_lengths, logit_lengths, mask_index=0)
