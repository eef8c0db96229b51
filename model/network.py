"""The acoustic network: convolutions, recurrent layers, a dense layer a frame."""

from __future__ import annotations

from dataclasses import replace
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


@keras.saving.register_keras_serializable("captioner")
class FramesFrom(keras.layers.Layer):  # type: ignore[misc]
    """Leave out the first frames, as many as an int32 (1,) says."""

    def call(self, inputs: Any, skipped: Any) -> Any:
        return inputs[:, skipped[0] :]

    def compute_output_shape(self, inputs_shape: Any, skipped_shape: Any) -> Any:
        return (inputs_shape[0], None, *inputs_shape[2:])


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
    features, lengths = _utterances(settings)
    hidden, remaining = _convolve_all(settings, features, lengths)
    tapped = []
    for index in range(settings.layers):
        hidden = _normalise_recurrent(
            settings, index, _recur(settings, index, hidden, remaining), remaining
        )
        if index + 1 in settings.intermediate:
            tapped.append(hidden)
    outputs = hidden
    if settings.dense:
        dense = _dense(settings)
        outputs = dense(hidden)
        if heads and tapped:
            outputs = [outputs, *map(dense, tapped)]
    return keras.Model([features, lengths], outputs, name="acoustic")


def build_window_network(settings: NetworkSettings) -> keras.Model:
    """Return the network as what reads windows of utterances; with TensorFlow only.

    Its weights are those of :func:`build_network`.  Its inputs are features and lengths as
    there, skipped int32 (1,) and states float32 (layers, batch, units); its outputs logits
    float32 (batch, n, symbols) and the forward outputs of the recurrent layers float32
    (layers, batch, n, units), where n is ``output_frames(frames) - skipped``.  See
    :meth:`model.engines.engine.Engine.window`; LSTM cells always start from zeros.
    """
    settings = replace(settings, dropout=0.0)
    features, lengths = _utterances(settings)
    skipped = keras.Input(batch_shape=(1,), dtype="int32", name="skipped")
    states = keras.Input(batch_shape=(settings.layers, None, settings.units), name="states")
    hidden, remaining = _convolve_all(settings, features, lengths)
    hidden, remaining = FramesFrom()(hidden, skipped), remaining - skipped
    forward = []
    for index in range(settings.layers):
        state = None if settings.cell == "lstm" else states[index]
        outputs = _recur(settings, index, hidden, remaining, state)
        forward.append(outputs[..., : settings.units])
        hidden = _normalise_recurrent(settings, index, outputs, remaining)
    logits = _dense(settings)(hidden) if settings.dense else hidden
    inputs = [features, lengths, skipped, states]
    return keras.Model(inputs, [logits, ops.stack(forward)], name="acoustic")


def _utterances(settings: NetworkSettings) -> tuple[Any, Any]:
    """Return the inputs: features and lengths."""
    features = keras.Input((None, settings.features), name="features")
    return features, keras.Input((), dtype="int32", name="lengths")


def _dense(settings: NetworkSettings) -> keras.layers.Layer:
    return keras.layers.Dense(settings.symbols, name="time_distributed_dense")


def _convolve_all(settings: NetworkSettings, hidden: Any, lengths: Any) -> tuple[Any, Any]:
    """Return what all convolutions make of their inputs, and the lengths of that."""
    for index in range(len(settings.kernels)):
        hidden, lengths = _convolve(settings, index, hidden, lengths)
    return hidden, lengths


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


def _recur(
    settings: NetworkSettings, index: int, hidden: Any, lengths: Any, state: Any = None
) -> Any:
    """Return what a recurrent layer makes of its inputs, before normalisation."""
    if settings.dropout:
        hidden = keras.layers.Dropout(settings.dropout)(hidden)
    name = f"{settings.cell}_{index}"
    layer = Recurrent(settings.units, settings.cell, settings.bidirectional, name=name)
    return layer(hidden, lengths) if state is None else layer(hidden, lengths, state)


def _normalise_recurrent(settings: NetworkSettings, index: int, hidden: Any, lengths: Any) -> Any:
    return _normalise(settings, f"{settings.cell}_{index}_norm", hidden, lengths)


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
