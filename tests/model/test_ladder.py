"""The networks of configs/networks, made small: trained, saved, run, on both backends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.acoustic import AcousticModel
from model.alphabet import ENGLISH
from model.bundle import ModelBundle, load_bundle, save_bundle
from model.card import describe
from model.features import FeatureSettings, FeatureStatistics
from model.network import build_network, ctc_loss
from model.recipe import NetworkSettings, Recipe
from model.settings import load_settings
from model.weights import weight_shapes
from tests.model.test_network import randomise

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs" / "networks").glob("*.yaml"))
SHIPPED = ROOT / "models" / "default"
"""Logits of its first symbols in the first frame of the inputs below."""
LENGTHS = np.array([14, 11, 6], np.int32)
LABELS = np.array([[1, 2, 2], [3, 1, 0], [4, 0, 0]], np.int32)
COUNTS = np.array([3, 2, 1], np.int32)


def settings_of(path: Path, **changes: Any) -> NetworkSettings:
    """Return the network of a file, narrow enough to be quick."""
    network = load_settings(Recipe, [ROOT / "configs" / "train.yaml", path]).network
    units = 6 if network.dense else network.symbols
    return replace(network, filters=5, units=units, **changes)


def inputs(features: int = 80) -> np.ndarray:
    values = np.random.default_rng(1).normal(size=(3, LENGTHS[0], features)).astype(np.float32)
    for row, length in zip(values, LENGTHS, strict=True):
        row[length:] = 0
    return values


def logits(network: keras.Model) -> np.ndarray:
    """Return what a network gives for the inputs, intermediate outputs left out."""
    outputs = network([inputs(), LENGTHS], training=False)
    return np.asarray(outputs[0] if isinstance(outputs, list) else outputs)


def mean_loss(network: keras.Model, settings: NetworkSettings) -> Any:
    """Return the training loss of all of a network's outputs."""
    outputs = network([inputs(), LENGTHS], training=True)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    frames = settings.output_frames(LENGTHS)
    return tf.add_n([tf.reduce_mean(ctc_loss(LABELS, COUNTS, out, frames)) for out in outputs])


def train(network: keras.Model, settings: NetworkSettings, steps: int) -> list[float]:
    """Return the loss before each step."""
    optimizer, losses = keras.optimizers.Adam(0.02), []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = mean_loss(network, settings)
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        losses.append(float(loss))
    return losses


def test_every_file_describes_another_network() -> None:
    shapes = [str(settings_of(path)) for path in FILES]
    assert len(set(shapes)) == len(FILES) >= 9
    assert load_settings(Recipe, ROOT / "configs/networks/captioner.yaml") == Recipe()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_network_learns_and_runs_as_it_was_saved(path: Path, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    settings = settings_of(path, dropout=0.0)
    network = build_network(settings, heads=True)
    before = {variable.path: np.array(variable) for variable in network.weights}
    assert {name: array.shape for name, array in before.items()} == weight_shapes(settings)
    losses = train(network, settings, 2)
    assert losses[1] < losses[0]
    changed = {v.path for v in network.weights if (np.array(v) != before[v.path]).any()}
    # A bias that a normalisation takes away again has no gradient.
    assert {name for name in before if not name.endswith("bias")} <= changed

    statistics = FeatureStatistics(np.zeros(80, np.float32), np.ones(80, np.float32))
    weights = {variable.path: np.array(variable) for variable in network.weights}
    bundle = ModelBundle(path.stem, ENGLISH, FeatureSettings(), statistics, settings, weights)
    loaded = load_bundle(save_bundle(bundle, tmp_path / "bundle"))
    assert loaded.network == settings
    model = AcousticModel(loaded)
    trained = logits(network)
    loaded.assign_weights(network)
    together = logits(network)
    for row, length in enumerate(LENGTHS):
        frames = settings.output_frames(int(length))
        np.testing.assert_allclose(together[row, :frames], trained[row, :frames], atol=0.02)
        alone = model.engine.logits(inputs()[row : row + 1, :length], LENGTHS[row : row + 1])
        np.testing.assert_allclose(together[row, :frames], alone[0], atol=1e-4)


def test_batch_statistics_are_those_of_the_frames_that_are_no_padding() -> None:
    settings = settings_of(ROOT / "configs/networks/cnn-rnn.yaml")
    network = build_network(settings)
    randomise(network)
    convolved = keras.Model(network.inputs, network.get_layer("convolution_0").output)
    values = np.asarray(convolved([inputs(), LENGTHS]))
    heard = np.concatenate(
        [row[: settings.output_frames(int(n))] for row, n in zip(values, LENGTHS, strict=True)]
    )
    norm = network.get_layer("convolution_0_norm")
    before = np.array(norm.moving_mean), np.array(norm.moving_variance)
    network([inputs(), LENGTHS], training=True)
    found = norm.moving_mean, norm.moving_variance
    for old, new, expected in zip(before, found, (heard.mean(0), heard.var(0)), strict=True):
        step = 1 - norm.momentum
        np.testing.assert_allclose(new, old + step * (expected - old), rtol=1e-4, atol=1e-5)


def test_padding_changes_no_gradient_of_a_network_with_batch_normalisation() -> None:
    settings = settings_of(ROOT / "configs/networks/hey-jetson.yaml", dropout=0.0)
    network = build_network(settings)
    randomise(network)
    gradients = []
    for room in (0, 9):
        values = np.pad(inputs(), ((0, 0), (0, room), (0, 0)))
        with tf.GradientTape() as tape:
            out = network([values, LENGTHS], training=True)
            frames = settings.output_frames(LENGTHS)
            loss = tf.reduce_sum(ctc_loss(LABELS, COUNTS, out, frames))
        gradients.append(tape.gradient(loss, [v.value for v in network.trainable_variables]))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("captioner", ("A bidirectional GRU with", "2 convolutions of 5", "3 layers of 6 units")),
        ("rnn", ("A unidirectional GRU with", "weights, 1 layer of 29 units, no dense layer, 29")),
        ("lstm", ("A bidirectional LSTM with",)),
        ("tanh-rnn", ("A bidirectional plain recurrent network with",)),
        ("cnn-dilated", ("3 convolutions of 5 channels, dilated by 4", "batch normalisation")),
    ],
)
def test_the_card_describes_the_network_it_is_about(name: str, parts: tuple[str, ...]) -> None:
    settings = settings_of(ROOT / "configs" / "networks" / f"{name}.yaml")
    statistics = FeatureStatistics(np.zeros(80, np.float32), np.ones(80, np.float32))
    weights = {name: np.ones(shape) for name, shape in weight_shapes(settings).items()}
    card = describe(ModelBundle(name, ENGLISH, FeatureSettings(), statistics, settings, weights))
    for part in (*parts, "log-mel features"):
        assert part in card


PROGRAM = """
import json, sys
from pathlib import Path
import jax, numpy as np
from keras import ops
from model.bundle import load_bundle
from model.network import build_network, ctc_loss
from model.recipe import NetworkSettings, settings_from

folder = Path(sys.argv[1])
given = dict(np.load(folder / "given.npz"))
for name, values in json.loads((folder / "networks.json").read_text()).items():
    settings = settings_from(NetworkSettings, values)
    network = build_network(settings)
    weights = np.load(folder / f"{name}.npz")
    for variable in network.weights:
        variable.assign(weights[variable.path])
    inputs = [given["x"], given["lengths"]]
    values = [variable.value for variable in network.trainable_variables]
    still = [variable.value for variable in network.non_trainable_variables]
    frames = settings.output_frames(given["lengths"])

    def loss(values):
        out, moved = network.stateless_call(values, still, inputs, training=True)
        return ops.sum(ctc_loss(given["labels"], given["counts"], out, frames)), moved

    @jax.jit
    def run(values):
        out, _ = network.stateless_call(values, still, inputs, training=False)
        return out, *jax.grad(loss, has_aux=True)(values)

    out, gradients, moved = run(values)
    results = dict(zip((v.path for v in network.trainable_variables), gradients))
    results |= dict(zip((v.path for v in network.non_trainable_variables), moved))
    np.savez(folder / f"{name}.jax.npz", logits=out, **results)
network = build_network((bundle := load_bundle(sys.argv[2])).network)
bundle.assign_weights(network)
np.save(folder / "shipped.npy", network.predict_on_batch((given["x"], given["lengths"])))
"""


@pytest.fixture(scope="module")
def networks() -> dict[str, tuple[NetworkSettings, keras.Model]]:
    """Every network of the ladder with random weights, without the randomness of dropout."""
    found = {}
    for seed, path in enumerate(FILES):
        settings = settings_of(path, dropout=0.0)
        if settings.intermediate:
            continue
        network = build_network(settings)
        randomise(network, seed)
        found[path.stem] = settings, network
    return found


@pytest.fixture(scope="module")
def shipped() -> keras.Model:
    bundle = load_bundle(SHIPPED)
    network = build_network(bundle.network)
    bundle.assign_weights(network)
    return network


@pytest.fixture(scope="module")
def jax_folder(
    networks: dict[str, tuple[NetworkSettings, keras.Model]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """What JAX made of the same networks and inputs."""
    folder = tmp_path_factory.mktemp("jax")
    given = {"x": inputs(), "lengths": LENGTHS, "labels": LABELS, "counts": COUNTS}
    np.savez(folder / "given.npz", **given)
    for name, (_, network) in networks.items():
        np.savez(folder / f"{name}.npz", **{v.path: np.array(v) for v in network.weights})
    described = {name: asdict(settings) for name, (settings, _) in networks.items()}
    (folder / "networks.json").write_text(json.dumps(described))
    subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, SHIPPED],
        # Compiling well takes longer than the few numbers of these networks.
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        },
        cwd=ROOT,
        check=True,
        timeout=600,
    )
    return folder


@pytest.mark.parametrize("name", [path.stem for path in FILES if path.stem != "intermediate"])
def test_jax_gives_the_outputs_gradients_and_statistics_of_tensorflow(
    name: str, networks: dict[str, tuple[NetworkSettings, keras.Model]], jax_folder: Path
) -> None:
    settings, network = networks[name]
    found = dict(np.load(jax_folder / f"{name}.jax.npz"))
    np.testing.assert_allclose(found.pop("logits"), logits(network), atol=1e-4)
    with tf.GradientTape() as tape:
        out = network([inputs(), LENGTHS], training=True)
        frames = settings.output_frames(LENGTHS)
        loss = tf.reduce_sum(ctc_loss(LABELS, COUNTS, out, frames))
    variables = network.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    expected = {v.path: np.array(g) for v, g in zip(variables, gradients, strict=True)}
    expected |= {v.path: np.array(v) for v in network.non_trainable_variables}
    assert found.keys() == expected.keys()
    for path, values in expected.items():
        scale = max(1.0, float(np.abs(values).max()))
        np.testing.assert_allclose(found[path], values, atol=1e-4 * scale, err_msg=path)


def test_jax_gives_the_outputs_of_tensorflow_for_the_shipped_model(
    shipped: keras.Model, jax_folder: Path
) -> None:
    found = np.load(jax_folder / "shipped.npy")
    np.testing.assert_allclose(found, logits(shipped), atol=1e-4)
