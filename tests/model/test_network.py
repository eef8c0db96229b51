from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.network import build_network, build_window_network
from model.recipe import Cell, NetworkSettings
from model.recurrent import Recurrent
from model.settings import RangeError
from model.weights import weight_shapes

STRAIGHT = {"units": 29, "bidirectional": False, "dense": False}
SMALL = NetworkSettings(features=6, symbols=5, filters=8, layers=2, units=7, dropout=0.1)
LENGTHS = np.array([40, 23, 9], np.int32)


def randomise(model: keras.layers.Layer, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    for variable in model.weights:
        values = random.normal(0, 0.4, variable.shape)
        is_scale = any(name in variable.path for name in ("gamma", "variance"))
        variable.assign(np.abs(1 + values) if is_scale else values)


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
    built = {variable.path: tuple(variable.shape) for variable in network.weights}
    assert built == weight_shapes(SMALL)


def test_the_network_for_windows_has_the_same_weights(network: keras.Model) -> None:
    windows = build_window_network(SMALL)
    assert {v.path: tuple(v.shape) for v in windows.weights} == weight_shapes(SMALL)
    windows.set_weights(network.get_weights())
    skipped, states = np.array([0], np.int32), np.zeros((2, 3, 7), np.float32)
    found, forward = windows([inputs(), LENGTHS, skipped, states])
    np.testing.assert_allclose(found, logits(network, inputs(), LENGTHS), atol=1e-5)
    assert tuple(forward.shape) == (2, 3, 10, 7)


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


CELLS = pytest.mark.parametrize(
    ("cell", "bidirectional"), [("gru", True), ("gru", False), ("lstm", True), ("rnn", False)]
)


@CELLS
def test_what_lies_beyond_a_length_changes_nothing_in_a_recurrent_layer(
    cell: Cell, bidirectional: bool
) -> None:
    layer = Recurrent(4, cell, bidirectional)
    clean = inputs()
    dirty = clean.copy()
    for row, length in zip(dirty, LENGTHS, strict=True):
        row[length:] = 9
    one, other = np.asarray(layer(clean, LENGTHS)), np.asarray(layer(dirty, LENGTHS))
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(one[row, :length], other[row, :length], atol=1e-6)


class Reference:
    """Keras's own recurrent layer with the weights of a ``Recurrent``."""

    def __init__(self, layer: Recurrent, features: int) -> None:
        kinds = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM, "rnn": keras.layers.SimpleRNN}
        self.layer = kinds[layer.cell](layer.units, return_sequences=True)
        if layer.bidirectional:
            self.layer = keras.layers.Bidirectional(self.layer)
        self.layer.build((None, None, features))
        values = [np.asarray(weight) for weight in layer.trainable_variables]
        shapes = [weight.shape for weight in self.layer.trainable_variables]
        self.layer.set_weights([v.reshape(s) for v, s in zip(values, shapes, strict=True)])

    def __call__(self, values: Any, lengths: np.ndarray) -> Any:
        mask = tf.sequence_mask(lengths, values.shape[1])
        return self.layer(values, mask=mask)


def within(values: Any, lengths: np.ndarray) -> Any:
    """Return ``values`` with what lies beyond each length set to zero."""
    return values * tf.cast(tf.sequence_mask(lengths, values.shape[1]), values.dtype)[:, :, None]


@CELLS
def test_outputs_and_gradients_are_those_of_keras(cell: Cell, bidirectional: bool) -> None:
    layer = Recurrent(5, cell, bidirectional)
    values = tf.constant(inputs())
    layer(values, LENGTHS)
    randomise(layer)
    reference = Reference(layer, 6)
    size = 10 if bidirectional else 5
    weights = np.random.default_rng(2).normal(size=(3, 40, size)).astype(np.float32)
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
        np.testing.assert_allclose(np.reshape(ours, np.shape(theirs)), theirs, rtol=1e-4, atol=1e-4)


def test_an_lstm_starts_by_forgetting_nothing() -> None:
    layer = Recurrent(2, "lstm", bidirectional=False)
    layer(inputs(), LENGTHS)
    assert np.asarray(layer.forward_bias).tolist() == [[0, 0, 1, 1, 0, 0, 0, 0]]


def test_a_layer_that_reads_forwards_does_not_hear_what_follows() -> None:
    layer = Recurrent(4, "gru", bidirectional=False)
    changed = inputs()
    changed[:, 5:] += 1
    one, other = np.asarray(layer(inputs(), LENGTHS)), np.asarray(layer(changed, LENGTHS))
    np.testing.assert_array_equal(one[:, :5], other[:, :5])
    assert not np.allclose(one[:, 5:], other[:, 5:])


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_a_layer_goes_on_from_what_it_gave_out_forwards(cell: Cell) -> None:
    layer = Recurrent(4, cell)
    whole = np.asarray(layer(inputs(), LENGTHS))
    later = layer(inputs()[:, 6:], LENGTHS - 6, whole[:, 5, :4])
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(later[row, : length - 6], whole[row, 6:length], atol=1e-6)


def test_intermediate_outputs_share_the_dense_layer() -> None:
    settings = NetworkSettings(
        features=6, symbols=5, filters=8, layers=3, units=7, intermediate=(1, 2)
    )
    plain, training = build_network(settings), build_network(settings, heads=True)
    assert [tuple(v.shape) for v in plain.weights] == [tuple(v.shape) for v in training.weights]
    assert {v.path for v in plain.weights} == {v.path for v in training.weights}
    randomise(plain)
    training.set_weights(plain.get_weights())
    outputs = training([inputs(), LENGTHS], training=False)
    np.testing.assert_allclose(outputs[0], logits(plain, inputs(), LENGTHS), atol=1e-6)
    dense = plain.get_layer("time_distributed_dense")
    for place, found in enumerate(outputs[1:]):
        hidden = keras.Model(plain.inputs, plain.get_layer(f"gru_{place}_norm").output)
        np.testing.assert_allclose(found, dense(hidden([inputs(), LENGTHS])), atol=1e-5)


def test_a_network_without_intermediate_layers_gives_its_logits_alone() -> None:
    outputs = build_network(SMALL, heads=True)([inputs(), LENGTHS])
    assert tuple(outputs.shape) == (3, 10, SMALL.symbols)


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


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kernels": (4, 7)}, "kernels"),
        ({"strides": (2,)}, "strides"),
        ({"dilations": (1,)}, "dilations"),
        ({"dilations": (2, 1)}, "dilations"),
        ({"dilations": (0, 1), "strides": (1, 1)}, "dilations"),
        ({"cell": "mlp"}, "cell: must be gru, lstm or rnn, got mlp"),
        ({"normalisation": "group"}, "normalisation"),
        ({"units": 0}, "units"),
        ({"dense": False}, "dense"),
        ({"dense": False, "units": 29}, "dense"),
        ({"dropout": 1.0}, "dropout"),
        ({"intermediate": (3,)}, "intermediate"),
        ({"intermediate": (0,)}, "intermediate"),
        ({"intermediate": (2, 1)}, "intermediate"),
        ({**STRAIGHT, "intermediate": (1,)}, "intermediate"),
    ],
)
def test_impossible_shapes_name_the_field(change: dict[str, Any], named: str) -> None:
    with pytest.raises(RangeError, match=named):
        NetworkSettings(**change)
