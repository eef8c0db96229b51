from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, logsumexp, rel_entr

from model.network import build_network, ctc_loss
from model.recipe import NetworkSettings
from model.training.compiled.library import CompiledNetwork, StepLibrary, shape_problem
from model.training.objective import CtcModel, divergence
from model.weights import weight_shapes

# An odd number of features in a window: the last of them has no other to be paired with.
TINY = NetworkSettings(features=7, symbols=5, kernels=(5, 3), filters=32, layers=2, units=32)
LENGTHS = np.array([23, 40, 37, 5, 40])
LABELS = [[1, 2, 2], [4, 3, 3, 1, 2], [], [1], [2, 4, 1]]


def batch(settings: NetworkSettings = TINY) -> dict[str, np.ndarray]:
    """Return a batch; beyond the lengths it holds what must not be looked at."""
    random = np.random.default_rng(1)
    labels = np.full((len(LABELS), 6), 99)
    for place, row in enumerate(LABELS):
        labels[place, : len(row)] = row
    features = random.normal(size=(len(LENGTHS), 44, settings.features)).astype(np.float32)
    for place, length in enumerate(LENGTHS):
        features[place, length:] = np.nan
    return {
        "features": features,
        "lengths": LENGTHS,
        "labels": labels,
        "label_lengths": np.array([len(row) for row in LABELS]),
        "shares": np.array([0.1, 0.05, 0.2, 0.3, 0.1], np.float32),
    }


def some_weights(settings: NetworkSettings = TINY, scale: float = 1.0) -> np.ndarray:
    """Return random weights, those of the dense layer times ``scale``."""
    random = np.random.default_rng(2)
    parts = []
    for name, shape in weight_shapes(settings).items():
        values = random.normal(0, 0.4, shape)
        values = 1 + values if name.endswith("gamma") else values
        parts.append(np.ravel(values * (scale if name.startswith("time_") else 1)))
    return np.concatenate(parts).astype(np.float32)


def split(settings: NetworkSettings, flat: np.ndarray) -> dict[str, np.ndarray]:
    shapes = weight_shapes(settings)
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])[:-1]
    parts = np.split(flat, ends.astype(int))
    pairs = zip(shapes.items(), parts, strict=True)
    return {name: part.reshape(shape) for (name, shape), part in pairs}


def learn(
    network: CompiledNetwork, weights: np.ndarray, seed: int = 0, **changes: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's loss and the gradient of their weighted sum."""
    gradients = np.full(network.size, np.nan, np.float32)
    given = {**batch(network.settings), **changes}
    return network.learn(weights, gradients, seed=seed, **given), gradients


@pytest.fixture(scope="module")
def keras_network() -> keras.Model:
    return build_network(TINY)


def by_keras(
    network: keras.Model, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return logits, losses and gradients."""
    for name, values in split(TINY, weights).items():
        next(v for v in network.variables if v.path == name).assign(values)
    given = batch()
    inputs = [np.nan_to_num(given["features"]), LENGTHS.astype(np.int32)]
    frames = TINY.output_frames(LENGTHS.astype(np.int32))
    labels = np.where(given["labels"] == 99, 0, given["labels"]).astype(np.int32)
    with tf.GradientTape() as tape:
        logits = network(inputs)
        losses = ctc_loss(labels, given["label_lengths"].astype(np.int32), logits, frames)
        loss = tf.reduce_sum(losses * given["shares"])
    gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
    paths = [v.path for v in network.trainable_variables]
    found = dict(zip(paths, map(np.asarray, gradients), strict=True))
    return np.asarray(logits), np.asarray(losses), found


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the relative distance of two arrays."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def tolerance(library: StepLibrary) -> float:
    return 0.05 if library.factor_bits == 16 else 1e-4


def test_logits_losses_and_gradients_are_those_of_keras(
    library: StepLibrary, keras_network: keras.Model
) -> None:
    weights = some_weights()
    logits, losses, gradients = by_keras(keras_network, weights)
    network = CompiledNetwork(library, TINY)
    given = batch()
    found = network.logits(weights, given["features"], LENGTHS)
    assert found.shape == logits.shape
    for row, frames in enumerate(TINY.output_frames(LENGTHS)):
        assert distance(found[row, :frames], logits[row, :frames]) < tolerance(library)
        assert not found[row, frames:].any()
    own_losses, own_gradients = learn(network, weights)
    np.testing.assert_allclose(own_losses, losses, rtol=tolerance(library))
    parts = split(TINY, own_gradients)
    assert parts.keys() == gradients.keys()
    for name, expected in gradients.items():
        assert distance(parts[name], expected) < tolerance(library), name


PAIRED = {name: np.repeat(values, 2, axis=0) for name, values in batch().items()}


def distances_of_pairs(logits: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Return the divergence of each row's symbols from those of the other of its pair."""
    scores = log_softmax(logits.astype(float), axis=-1)
    return np.array(
        [
            rel_entr(np.exp(scores[row ^ 1, :own]), np.exp(scores[row, :own])).sum()
            for row, own in enumerate(frames)
        ]
    )


def test_consistency_is_that_of_keras_and_of_scipy(
    library: StepLibrary, keras_network: keras.Model
) -> None:
    weights, weight = some_weights(), 0.7
    given = {**PAIRED, "features": PAIRED["features"].copy()}
    given["features"][1::2, :, 2:4] = 0  # a mask
    given["features"] = np.where(np.isnan(PAIRED["features"]), np.nan, given["features"])
    for name, values in split(TINY, weights).items():
        next(v for v in keras_network.variables if v.path == name).assign(values)
    lengths = given["lengths"].astype(np.int32)
    frames = TINY.output_frames(lengths)
    labels = np.where(given["labels"] == 99, 0, given["labels"]).astype(np.int32)
    targets = (labels, given["label_lengths"].astype(np.int32), frames, given["shares"])
    model = CtcModel(keras_network, consistency=weight)
    with tf.GradientTape() as tape:
        logits = keras_network([np.nan_to_num(given["features"]), lengths])
        loss = model.compute_loss(y=targets, y_pred=logits)
    expected = tape.gradient(loss, [v.value for v in keras_network.trainable_variables])
    plain = np.asarray(ctc_loss(*targets[:2], logits, frames))
    distances = distances_of_pairs(np.asarray(logits), frames)
    assert distances.min() > 0.01
    np.testing.assert_allclose(np.asarray(divergence(logits, frames)), distances, rtol=1e-4)
    assert float(loss) == pytest.approx((plain + weight * distances) @ given["shares"], rel=1e-5)
    network = CompiledNetwork(library, TINY)
    losses, gradients = learn(network, weights, consistency=weight, **given)
    np.testing.assert_allclose(losses, plain + weight * distances, rtol=tolerance(library))
    parts = split(TINY, gradients)
    for variable, values in zip(keras_network.trainable_variables, expected, strict=True):
        distant = distance(parts[variable.path], np.asarray(values))
        assert distant < tolerance(library), variable.path


def test_what_is_equal_is_consistent(plain: StepLibrary) -> None:
    network, weights = CompiledNetwork(plain, TINY), some_weights()
    alone, gradients = learn(network, weights, **PAIRED)
    paired, own_gradients = learn(network, weights, consistency=5.0, **PAIRED)
    np.testing.assert_allclose(paired, alone, rtol=1e-6)
    np.testing.assert_allclose(own_gradients, gradients, atol=1e-5)


def test_rows_that_are_no_pairs_are_refused(plain: StepLibrary) -> None:
    network = CompiledNetwork(plain, TINY)
    for lengths in (LENGTHS, np.array([23, 23, 40, 37])):
        count = len(lengths)
        short = {name: values[:count] for name, values in batch().items()}
        with pytest.raises(ValueError, match="lengths must come in equal pairs"):
            learn(network, some_weights(), consistency=0.1, **{**short, "lengths": lengths})


def summed_loss(logits: np.ndarray) -> float:
    """Return the weighted sum of the rows' losses, by a sum over logarithms (Graves, 2006)."""
    given, total = batch(), 0.0
    for row, frames, labels, share in zip(
        logits, TINY.output_frames(LENGTHS), LABELS, given["shares"], strict=True
    ):
        scores = log_softmax(row[:frames].astype(float), axis=-1)
        states = [0, *(symbol for label in labels for symbol in (label, 0))]
        paths = np.full((3, len(states)), -np.inf)
        paths[0, :1] = 0
        reached = np.full(len(states), -np.inf)
        reached[:2] = scores[0, states[:2]]
        for frame in scores[1:]:
            paths[0], paths[1, 1:] = reached, reached[:-1]
            skips = [s >= 2 and states[s] not in (0, states[s - 2]) for s in range(len(states))]
            paths[2] = np.where(skips, np.roll(reached, 2), -np.inf)
            reached = logsumexp(paths, axis=0) + frame[states]
        total -= share * logsumexp(reached[-2:])
    return total


@pytest.mark.parametrize("scale", [1, 20, 400])
def test_probabilities_of_any_size_have_their_loss_and_gradient(
    plain: StepLibrary, scale: float
) -> None:
    weights = some_weights(scale=scale)
    network = CompiledNetwork(plain, TINY)
    logits = network.logits(weights, batch()["features"], LENGTHS)
    losses, gradients = learn(network, weights)
    assert (losses.max() > 10_000) == (scale == 400)
    assert losses @ batch()["shares"] == pytest.approx(summed_loss(logits), rel=1e-5)
    for symbol, found in enumerate(split(TINY, gradients)["time_distributed_dense/bias"]):
        step = 1e-4 * np.eye(5)[symbol]
        slope = (summed_loss(logits + step) - summed_loss(logits - step)) / 2e-4
        assert found == pytest.approx(slope, abs=1e-3)


def test_labels_without_an_alignment_count_for_nothing(library: StepLibrary) -> None:
    network, weights = CompiledNetwork(library, TINY), some_weights()
    labels, counts = batch()["labels"], batch()["label_lengths"].copy()
    labels[3, :3], counts[3] = [1, 1, 1], 3
    losses, gradients = learn(network, weights, labels=labels, label_lengths=counts)
    assert list(np.isinf(losses)) == [False, False, False, True, False]
    shares = batch()["shares"].copy()
    shares[3] = 0
    _, expected = learn(network, weights, shares=shares)
    np.testing.assert_array_equal(gradients, expected)


@pytest.mark.parametrize("what", ["features", "weights"])
def test_what_is_not_a_number_makes_a_loss_that_is_none(library: StepLibrary, what: str) -> None:
    weights, features = some_weights(), batch()["features"]
    if what == "features":
        features[2, 11, 3] = np.nan
    else:
        weights[40] = np.nan
    losses, _ = learn(CompiledNetwork(library, TINY), weights, features=features)
    assert list(np.isnan(losses)) == [what == "weights" or row == 2 for row in range(5)]


def test_threads_and_other_rows_change_nothing(library: StepLibrary) -> None:
    network, weights = CompiledNetwork(library, replace(TINY, dropout=0.3)), some_weights()
    threads = library.functions.omp_get_max_threads()
    try:
        results = []
        for count in (1, 2, 5):
            library.functions.omp_set_num_threads(count)
            results.append(learn(network, weights, seed=4))
    finally:
        library.functions.omp_set_num_threads(threads)
    for losses, gradients in results[1:]:
        np.testing.assert_array_equal(losses, results[0][0])
        np.testing.assert_array_equal(gradients, results[0][1])
    together = network.logits(weights, batch()["features"], LENGTHS)
    for row, length in enumerate(LENGTHS):
        own = batch()["features"][row : row + 1, :length]
        alone = network.logits(weights, own, np.array([length]))
        np.testing.assert_array_equal(alone[0], together[row, : alone.shape[1]])


def test_dropout_is_drawn_by_the_seed_and_keeps_the_mean(library: StepLibrary) -> None:
    """One output frame: the kernel's gradient is the inputs times that of the bias."""
    settings = replace(TINY, layers=1, dropout=0.25)
    weights = some_weights(settings)
    parts = split(settings, weights)  # views
    parts["convolution_1_norm/gamma"][:] = 0
    parts["convolution_1_norm/beta"][:] = 1
    network = CompiledNetwork(library, settings)
    given = {"features": batch()["features"][:1, :4], "lengths": np.array([4])}
    given |= {"labels": np.array([[2]]), "label_lengths": np.array([1])}
    given["shares"] = np.ones(1, np.float32)
    masks = []
    for seed in [*range(40), 0]:
        gradients = split(settings, learn(network, weights, seed, **given)[1])
        bias = gradients["gru_0/forward_bias"][0]
        masks.append(gradients["gru_0/forward_kernel"] @ bias / (bias @ bias))
    np.testing.assert_array_equal(masks[0], masks[-1])
    drawn = np.stack(masks[:-1])
    kept = drawn > 0.5
    np.testing.assert_allclose(drawn[kept], 4 / 3, rtol=0.01)
    np.testing.assert_allclose(drawn[~kept], 0, atol=1e-6)
    assert kept.mean() == pytest.approx(0.75, abs=0.05)
    assert len({row.tobytes() for row in kept}) == 40


def test_the_gradient_goes_where_dropout_let_through(plain: StepLibrary) -> None:
    network, weights = CompiledNetwork(plain, replace(TINY, dropout=0.3)), some_weights()
    _, gradient = learn(network, weights, seed=9)
    direction = gradient / np.linalg.norm(gradient)
    shares = batch()["shares"].astype(float)
    ahead, behind = (
        learn(network, (weights + step * direction).astype(np.float32), seed=9)[0] @ shares
        for step in (0.01, -0.01)
    )
    assert (ahead - behind) / 0.02 == pytest.approx(np.linalg.norm(gradient), rel=0.01)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"features": np.zeros((5, 44, 7))}, "features must be float32"),
        ({"features": np.zeros((5, 44, 8), np.float32)}, "must have 7 features, got 8"),
        ({"features": np.zeros((0, 44, 7), np.float32)}, "not empty"),
        ({"lengths": LENGTHS[:4]}, "lengths must be integers"),
        ({"lengths": LENGTHS.astype(float)}, "lengths must be integers"),
        ({"lengths": LENGTHS * 2}, "lengths must be 1 to 44, got 10 to 80"),
        ({"lengths": LENGTHS * 0}, "lengths must be 1 to 44, got 0 to 0"),
        ({"labels": np.zeros((4, 6), int)}, "labels must be integers"),
        ({"labels": np.full((5, 6), 5)}, "labels must be 1 to 4, got 5 to 5"),
        ({"label_lengths": np.full(5, 7)}, "label_lengths must be 0 to 6"),
        ({"label_lengths": np.full(5, -1)}, "label_lengths must be 0 to 6"),
        ({"shares": np.ones(3, np.float32)}, "shares must be float"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_what_does_not_fit_is_refused(
    plain: StepLibrary, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        learn(CompiledNetwork(plain, TINY), some_weights(), **changes)


def test_other_weights_are_refused(plain: StepLibrary) -> None:
    network, weights = CompiledNetwork(plain, TINY), some_weights()
    for wrong in (weights[1:], weights.astype(float), np.repeat(weights, 2)[::2]):
        with pytest.raises(ValueError, match="must be a writable float32 array"):
            network.logits(wrong, batch()["features"], LENGTHS)
    with pytest.raises(ValueError, match="must be a writable float32 array"):
        network.learn(weights, weights[:-1], **batch(), seed=0)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cell": "lstm"}, "network.cell"),
        ({"bidirectional": False}, "network.bidirectional"),
        ({"normalisation": "batch"}, "network.normalisation"),
        ({"kernels": (3,), "strides": (2,)}, "network.strides"),
        ({"strides": (1, 1), "dilations": (1, 2)}, "network.strides, network.dilations"),
        ({"filters": 40, "units": 48}, "network.filters, network.units"),
        ({"symbols": 33}, "network.symbols"),
    ],
)
def test_a_network_of_another_shape_is_named(
    plain: StepLibrary, changes: dict[str, Any], named: str
) -> None:
    settings = replace(TINY, **changes)
    assert shape_problem(settings).endswith(f"not for this {named}")
    with pytest.raises(ValueError, match=named):
        CompiledNetwork(plain, settings)
    assert shape_problem(TINY) == ""
