"""Measure how fast the network trains, against a plain Keras ``fit`` of the same network.

    python benchmarks/training.py

Each contender trains on the same batches in a process of its own: ``train.py``'s trainer with
its steps compiled and on each backend, and the network written with Keras's own layers and loss
and given to ``fit`` on the TensorFlow backend, compiled by XLA as Keras decides by itself, and
without XLA.  The recordings are random features: how fast a network trains does not depend on
what is said.  Speed is hours of speech trained in an hour.  The first step of each shape, which
compiles, is reported by itself and does not count; of the other steps of a shape the median does.
Prints a Markdown table; ``--json`` writes the figures as well.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CONTENDERS = {
    "train.py, compiled": ("tensorflow", "compiled"),
    "train.py, TensorFlow": ("tensorflow", "ours"),
    "train.py, JAX": ("jax", "ours"),
    "plain Keras fit, TensorFlow": ("tensorflow", "plain"),
    "plain Keras fit, TensorFlow without XLA": ("tensorflow", "plain-interpreted"),
}
PLAIN = [name for name, (_, kind) in CONTENDERS.items() if kind.startswith("plain")]
LENGTHS_S = (3.0, 9.0, 15.0)
"""Lengths of the recordings, seconds; each makes batches of its own shape."""
LETTERS_PER_S = 12


def main() -> int:
    """Run each contender and print the table."""
    options = _parser().parse_args()
    if options.contender:
        print(json.dumps(_summary(_step_seconds(options.contender, options.steps))))
        return 0
    figures = {name: _spawn(name, options.steps) for name in CONTENDERS}
    print(_table(figures))
    if options.json:
        record = {"processors": os.cpu_count(), "steps": options.steps, "contenders": figures}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=8, help="steps of each shape (default: 8)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    return parser


def _spawn(name: str, steps: int) -> dict[str, float]:
    backend, kind = CONTENDERS[name]
    command = [sys.executable, __file__, "--contender", kind, "--steps", str(steps)]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {figures['speed']:.1f} hours an hour", file=sys.stderr)
    return figures


def _table(figures: dict[str, dict[str, float]]) -> str:
    baseline = max(figures[name]["speed"] for name in PLAIN)
    lines = [
        "| Training by | hours of speech an hour | of the faster plain fit | compiling, s |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, figure in figures.items():
        ratio = figure["speed"] / baseline
        lines.append(f"| {name} | {figure['speed']:.0f} | {ratio:.1f} | {figure['first_s']:.0f} |")
    return "\n".join([*lines, "", f"{os.cpu_count()} processors."])


def _summary(seconds: dict[int, list[float]]) -> dict[str, float]:
    """Return the speed over all shapes and the time of their first steps."""
    from model.recipe import Recipe

    recipe = Recipe()
    speech = trained = 0.0
    for frames, times in seconds.items():
        length = frames * recipe.features.frame_s
        speech += length * int(recipe.training.batch_s / length)
        trained += statistics.median(times[1:])
    first = sum(times[0] for times in seconds.values())
    return {"speed": round(speech / trained, 1), "first_s": round(first, 1)}


def _step_seconds(kind: str, steps: int) -> dict[int, list[float]]:
    """Train; return the seconds of each step by the frames of its shape."""
    from model.recipe import Recipe, TrainingSettings
    from model.variation.augmentation import AugmentationSettings

    # In order of length, and none changed: the first ``steps`` batches are of the first length.
    recipe = Recipe(
        augmentation=AugmentationSettings(tempo=0.0),
        training=TrainingSettings(
            passes=1, bucket_s=LENGTHS_S, learning_rate=1e-5, sort_first_pass=True
        ),
    )
    rows, features = _recordings(recipe, steps)
    if kind in ("ours", "compiled"):
        times = _ours(recipe, rows, features, compiled=kind == "compiled")
    else:
        times = _plain(recipe, rows, features, "auto" if kind == "plain" else False)
    frames = [round(length / recipe.features.frame_s) for length in LENGTHS_S]
    return {count: times[i * steps : (i + 1) * steps] for i, count in enumerate(frames)}


def _recordings(recipe: Any, steps: int) -> tuple[list[Any], Any]:
    """Return manifest rows and random features: ``steps`` batches of each length."""
    import numpy as np

    from model.corpora.manifest import Utterance
    from model.training.feature_cache import CachedFeatures, FeatureShard

    random = np.random.default_rng(1)
    rows = []
    for length in LENGTHS_S:
        for _ in range(steps * int(recipe.training.batch_s / length)):
            letters = random.choice(list("abcdefghijklmnopqrstuvwxyz"), int(LETTERS_PER_S * length))
            rows.append(Utterance(Path("random"), "".join(letters), length))
    ends = np.cumsum([round(row.duration / recipe.features.frame_s) for row in rows])
    frames = random.standard_normal((ends[-1], recipe.features.size), np.float32)
    shard = FeatureShard(frames.astype(np.float16), ends)
    return rows, CachedFeatures((shard,), recipe.features.size)


def _ours(recipe: Any, rows: list[Any], features: Any, compiled: bool) -> list[float]:
    """Train with the project's trainer; return the seconds of each step."""
    from model.training.compiled.build import built_library
    from model.training.compiled.library import StepLibrary
    from model.training.feature_cache import CachedFeatures
    from model.training.passes import TrainingData
    from model.training.trainer import Trainer

    ends = [0.0]
    library = StepLibrary(built_library()) if compiled else None

    def note(progress: Any, _: float) -> None:
        if progress.step == len(ends):
            ends.append(progress.seconds)

    data, nothing = (
        TrainingData(rows, features),
        TrainingData([], CachedFeatures((), features.size)),
    )
    with tempfile.TemporaryDirectory() as folder:
        statistics = _unchanged(recipe)
        Trainer(recipe, data, nothing, statistics, folder, report=note, library=library).run()
    return [after - before for before, after in pairwise(ends)]


def _plain(recipe: Any, rows: list[Any], features: Any, jit: str | bool) -> list[float]:
    """Train with Keras's own layers, loss and loop; return the seconds of each step."""
    import keras
    import numpy as np

    shape, ends = recipe.network, [0.0]
    hidden = inputs = keras.Input((None, shape.features))
    for kernel, stride in zip(shape.kernels, shape.strides, strict=True):
        hidden = keras.layers.Conv1D(shape.filters, kernel, stride, padding="same")(hidden)
        hidden = keras.layers.LayerNormalization()(hidden)
        hidden = keras.layers.Activation("relu")(hidden)
    for _ in range(shape.layers):
        layer = keras.layers.GRU(shape.units, return_sequences=True)
        hidden = keras.layers.Bidirectional(layer)(hidden)
        hidden = keras.layers.LayerNormalization()(hidden)
    model = keras.Model(inputs, keras.layers.Dense(shape.symbols)(hidden))
    settings = recipe.training
    adam = keras.optimizers.Adam(settings.learning_rate, global_clipnorm=settings.clip_norm)
    model.compile(optimizer=adam, loss=keras.losses.CTC(), jit_compile=jit)

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.started = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            ends.append(ends[-1] + time.monotonic() - self.started)

    # Each length by itself: fit takes the shapes of its first batches for those of all.
    for length in LENGTHS_S:
        members = [index for index, row in enumerate(rows) if row.duration == length]
        model.fit(
            np.stack([features.utterance(index) for index in members]),
            np.array([recipe.alphabet.encode(rows[index].text) for index in members]),
            batch_size=int(settings.batch_s / length),
            shuffle=False,
            verbose=0,
            callbacks=[Clock()],
        )
    return [after - before for before, after in pairwise(ends)]


def _unchanged(recipe: Any) -> Any:
    """Return statistics that leave random features about as they are."""
    import numpy as np

    from model.features import FeatureStatistics

    size = recipe.features.size
    return FeatureStatistics(np.zeros(size, np.float32), np.ones(size, np.float32))


if __name__ == "__main__":
    sys.exit(main())
