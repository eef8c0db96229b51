"""The acoustic network: strided convolutions, bidirectional GRUs, a dense layer a frame."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.recipe import NetworkSettings
from model.recurrent import BidirectionalGRU


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
