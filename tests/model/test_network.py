from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.bundle import weight_shapes
from model.network import build_network, ctc_loss
from model.recipe import NetworkSettings
from model.recurrent import BidirectionalGRU
from model.settings import RangeError

SMALL = NetworkSettings(features=6, symbols=5, filters=8, layers=2, units=7, dropout=0.1)
LENGTHS = np.array([40, 23, 9], np.int32)


def randomise(model: keras.layers.Layer, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(random.normal(0, 0.4, variable.shape) + ("gamma" in variable.path))


def inputs(features: int = 6, lengths: np.ndarray = LENGTHS) -> np.ndarray:
    """Return features (batch, frames, features), zero beyond each length."""
    random = np.random.default_rng(1)
    values = random.normal(size=(len(lengths), max(lengths), features)).astype(np.float32)
    for row, length in zip(values, lengths, strict=True):
        row[length:] = 0
    return values


@pytest.fixture(scope="module")
def network() -> keras.Model:
    built = build_network(SMALL)
    randomise(built)
    return built


def logits(network: keras.Model, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return np.asarray(network([features, lengths], training=False))


def test_weights_have_the_names_and_shapes_that_bundles_keep(network: keras.Model) -> None:
    built = {variable.path: tuple(variable.shape) for variable in network.trainable_variables}
    assert built == weight_shapes(SMALL)


def test_output_frames_are_as_promised(network: keras.Model) -> None:
    for frames in (1, 2, 3, 4, 5, 40, 41):
        out = logits(network, np.zeros((1, frames, 6), np.float32), np.array([frames], np.int32))
        assert out.shape == (1, SMALL.output_frames(frames), SMALL.symbols)


def test_padding_and_company_change_nothing(network: keras.Model) -> None:
    together = logits(network, inputs(), LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = logits(network, inputs()[row : row + 1, :length], LENGTHS[row : row + 1])
        kept = SMALL.output_frames(int(length))
        np.testing.assert_allclose(together[row, :kept], alone[0], atol=2e-5)


def test_what_lies_beyond_a_length_changes_nothing_in_the_recurrent_layer() -> None:
    layer = BidirectionalGRU(4)
    clean = inputs()
    dirty = clean.copy()
    for row, length in zip(dirty, LENGTHS, strict=True):
        row[length:] = 9
    one, other = np.asarray(layer(clean, LENGTHS)), np.asarray(layer(dirty, LENGTHS))
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(one[row, :length], other[row, :length], atol=1e-6)


class Reference:
    """Keras's own bidirectional GRU with the weights of a ``BidirectionalGRU``."""

    def __init__(self, layer: BidirectionalGRU, features: int) -> None:
        cell = keras.layers.GRU(layer.units, return_sequences=True)
        self.layer = keras.layers.Bidirectional(cell)
        self.layer.build((None, None, features))
        self.layer.set_weights([np.asarray(weight) for weight in layer.trainable_variables])

    def __call__(self, values: Any, lengths: np.ndarray) -> Any:
        mask = tf.sequence_mask(lengths, values.shape[1])
        return self.layer(values, mask=mask)


def within(values: Any, lengths: np.ndarray) -> Any:
    """Return ``values`` with what lies beyond each length set to zero."""
    return values * tf.cast(tf.sequence_mask(lengths, values.shape[1]), values.dtype)[:, :, None]


def test_outputs_and_gradients_are_those_of_keras() -> None:
    layer = BidirectionalGRU(5)
    values = tf.constant(inputs())
    layer(values, LENGTHS)
    randomise(layer)
    reference = Reference(layer, 6)
    weights = np.random.default_rng(2).normal(size=(3, 40, 10)).astype(np.float32)
    results = []
    for call, variables in (
        (layer, layer.trainable_variables),
        (reference, reference.layer.trainable_variables),
    ):
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = within(call(values, LENGTHS), LENGTHS)
            total = tf.reduce_sum(tf.tanh(outputs) * weights)
        watched = [values, *(variable.value for variable in variables)]
        results.append([outputs, *tape.gradient(total, watched)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_live_calls_of_any_length_use_one_graph(network: keras.Model) -> None:
    function = tf.function(
        lambda values, lengths: network([values, lengths], training=False),
        input_signature=[tf.TensorSpec((1, None, 6)), tf.TensorSpec((1,), tf.int32)],
    )
    for frames in (1, 9, 40):
        values = inputs(lengths=np.array([frames]))
        lengths = np.array([frames], np.int32)
        np.testing.assert_allclose(
            function(values, lengths), logits(network, values, lengths), atol=1e-5
        )
    assert function.experimental_get_tracing_count() == 1


PROGRAM = """
import sys
import jax, numpy as np
from keras import ops
from model.network import build_network, ctc_loss
from model.recipe import NetworkSettings

given = dict(np.load(sys.argv[1]))
network = build_network(NetworkSettings(features=6, symbols=5, filters=8, layers=2, units=7))
weights = [given[variable.path] for variable in network.trainable_variables]
still = [variable.value for variable in network.non_trainable_variables]

def loss(weights):
    out, _ = network.stateless_call(weights, still, [given["x"], given["lengths"]])
    return ops.sum(ctc_loss(given["labels"], given["counts"], out, given["frames"])), out

(_, out), gradients = jax.value_and_grad(loss, has_aux=True)(weights)
paths = [variable.path for variable in network.trainable_variables]
np.savez(sys.argv[2], out=out, **dict(zip(paths, gradients)))
"""


def test_jax_gives_the_outputs_and_gradients_of_tensorflow(
    network: keras.Model, tmp_path: Path
) -> None:
    given = {
        "x": inputs(),
        "lengths": LENGTHS,
        "labels": np.array([[1, 2, 2], [3, 1, 0], [4, 0, 0]], np.int32),
        "counts": np.array([3, 2, 1], np.int32),
        "frames": SMALL.output_frames(LENGTHS),
    }
    weights = {variable.path: np.asarray(variable) for variable in network.trainable_variables}
    np.savez(tmp_path / "given.npz", **given, **weights)
    subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "given.npz", tmp_path / "jax.npz"],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        cwd=Path(__file__).resolve().parents[2],
        check=True,
        timeout=240,
    )
    with tf.GradientTape() as tape:
        out = network([given["x"], LENGTHS], training=False)
        total = tf.reduce_sum(ctc_loss(given["labels"], given["counts"], out, given["frames"]))
    variables = network.trainable_variables
    gradients = tape.gradient(total, [variable.value for variable in variables])
    with np.load(tmp_path / "jax.npz") as found:
        np.testing.assert_allclose(found["out"], out, atol=1e-4)
        for variable, gradient in zip(variables, gradients, strict=True):
            scale = max(1.0, float(np.abs(gradient).max()))
            np.testing.assert_allclose(
                found[variable.path], gradient, atol=1e-4 * scale, err_msg=variable.path
            )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kernels": (4, 7)}, "kernels"),
        ({"strides": (2,)}, "strides"),
        ({"units": 0}, "units"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_impossible_shapes_name_the_field(change: dict[str, Any], named: str) -> None:
    with pytest.raises(RangeError, match=named):
        NetworkSettings(**change)
