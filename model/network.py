"""The acoustic network: convolutions, recurrent layers, a dense layer a frame."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.recipe import NetworkSettings
from model.recurrent import Recurrent, frame_mask


@keras.saving.register_keras_serializable("captioner")
class FrameNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation (Ioffe and Szegedy, 2015) by the frames within each length.

    Padding must not count: how much of it there is depends on the other rows.
    """

    def build(self, inputs_shape: Any, lengths_shape: Any) -> None:
        super().build(inputs_shape)

    def call(self, inputs: Any, lengths: Any, training: bool | None = None) -> Any:
        mask = frame_mask(lengths, ops.shape(inputs)[1])
        return super().call(inputs, training=training, mask=mask)

    def compute_output_shape(self, inputs_shape: Any, lengths_shape: Any) -> Any:
        return inputs_shape


@keras.saving.register_keras_serializable("captioner")
class MaskedFrames(keras.layers.Layer):  # type: ignore[misc]
    """Set the frames at or after each sequence's length to zero."""

    def call(self, inputs: Any, lengths: Any) -> Any:
        present = frame_mask(lengths, ops.shape(inputs)[1])
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


def build_network(settings: NetworkSettings, heads: bool = False) -> keras.Model:
    """Return the network, untrained.

    Its inputs are features float32 (batch, frames, features), zero beyond each
    length, and lengths int32 (batch,); its output is logits float32
    (batch, ``output_frames(frames)``, symbols).  A row's logits within its
    length do not depend on the padding.

    Args:
        settings: Its shape.
        heads: Whether its output is a list where ``settings.intermediate`` names layers:
            the logits, and those after each of these.  One dense layer makes them all, as
            in the paper (Lee and Watanabe, 2021), so that the weights stay the same.
    """
    features = keras.Input((None, settings.features), name="features")
    lengths = keras.Input((), dtype="int32", name="lengths")
    hidden, remaining = features, lengths
    for index in range(len(settings.kernels)):
        hidden, remaining = _convolve(settings, index, hidden, remaining)
    tapped = []
    for index in range(settings.layers):
        hidden = _recur(settings, index, hidden, remaining)
        if index + 1 in settings.intermediate:
            tapped.append(hidden)
    outputs = hidden
    if settings.dense:
        dense = keras.layers.Dense(settings.symbols, name="time_distributed_dense")
        outputs = dense(hidden)
        if heads and tapped:
            outputs = [outputs, *map(dense, tapped)]
    return keras.Model([features, lengths], outputs, name="acoustic")


def _convolve(settings: NetworkSettings, index: int, hidden: Any, lengths: Any) -> tuple[Any, Any]:
    """Return what a convolution makes of its inputs, and the lengths of that."""
    kernel, stride = settings.kernels[index], settings.strides[index]
    dilation = settings.dilations[index] if settings.dilations else 1
    name = f"convolution_{index}"
    hidden = keras.layers.ZeroPadding1D(dilation * (kernel // 2))(hidden)
    hidden = keras.layers.Conv1D(
        settings.filters, kernel, strides=stride, dilation_rate=dilation, name=name
    )(hidden)
    lengths = StridedLengths(stride)(lengths)
    hidden = _normalise(settings, f"{name}_norm", hidden, lengths)
    hidden = keras.layers.Activation("relu")(hidden)
    return MaskedFrames()(hidden, lengths), lengths


def _recur(settings: NetworkSettings, index: int, hidden: Any, lengths: Any) -> Any:
    """Return what a recurrent layer makes of its inputs."""
    name = f"{settings.cell}_{index}"
    if settings.dropout:
        hidden = keras.layers.Dropout(settings.dropout)(hidden)
    hidden = Recurrent(settings.units, settings.cell, settings.bidirectional, name=name)(
        hidden, lengths
    )
    return _normalise(settings, f"{name}_norm", hidden, lengths)


def _normalise(settings: NetworkSettings, name: str, hidden: Any, lengths: Any) -> Any:
    if settings.normalisation == "layer":
        return keras.layers.LayerNormalization(name=name)(hidden)
    if settings.normalisation == "batch":
        return FrameNormalization(name=name)(hidden, lengths)
    return hidden


def ctc_loss(labels: Any, label_lengths: Any, logits: Any, logit_lengths: Any) -> Any:
    """Return the negative log-likelihood of each row's labels, float (batch,).

    Connectionist temporal classification (Graves et al., 2006) with the blank at
    index 0 and each row's own length of labels and logits.
    """
    return ops.ctc_loss(labels, logits, label_lengths, logit_lengths, mask_index=0)
