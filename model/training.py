"""Train the acoustic network: batches in, checkpoints and a log out."""

from __future__ import annotations

import csv
import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from keras import ops

from model.alphabet import ENGLISH, Alphabet
from model.augmentation import AugmentationSettings
from model.batches import Batch, Corpus, PlannedBatch, prefetch
from model.errors import TrainingError
from model.evaluation import ErrorRates, error_rates, greedy_text
from model.feature_cache import CachedFeatures
from model.features import FeatureSettings, FeatureStatistics
from model.manifest import Utterance
from model.network import NetworkSettings, build_network, ctc_loss

KEPT_CHECKPOINTS = 2
LOG_COLUMNS = ("step", "pass", "minutes", "speech_hours", "loss", "wer", "cer")


@dataclass(frozen=True)
class TrainingSettings:
    """How the network is trained.

    Attributes:
        minutes: Time to train, the rate falling to zero at its end; 0 uses ``passes``.
        passes: Passes over the data when ``minutes`` is 0.
        batch_s: Seconds of speech in a batch, padding included.
        bucket_s: Rising lengths to which utterances are padded, seconds; few
            lengths mean few compilations.
        learning_rate: Highest rate of Adam.
        warmup_steps: Steps over which the rate rises.
        hold: Share of the training during which the rate stays at its highest.
        clip_norm: Largest norm of a gradient.
        sort_first_pass: Short utterances first in the first pass.
        copies: How often each corpus occurs in a pass; 1 where not named.
        checkpoint_minutes: Time between checkpoints.
        seed: Decides initial weights, order and augmentation.
    """

    minutes: float = 0.0
    passes: int = 10
    batch_s: float = 90.0
    bucket_s: tuple[float, ...] = (1.5, 2.2, 3.0, 4.0, 5.2, 6.8, 9.0, 12.0, 14.5, 17.0)
    learning_rate: float = 1.5e-3
    warmup_steps: int = 200
    hold: float = 0.3
    clip_norm: float = 1.0
    sort_first_pass: bool = True
    copies: dict[str, int] = field(default_factory=dict)
    checkpoint_minutes: float = 5.0
    seed: int = 1

    def __post_init__(self) -> None:
        rules = {
            "minutes: must not be negative": self.minutes >= 0,
            "passes, batch_s, learning_rate, clip_norm, checkpoint_minutes: must be above 0": min(
                self.passes,
                self.batch_s,
                self.learning_rate,
                self.clip_norm,
                self.checkpoint_minutes,
            )
            > 0,
            "bucket_s: must rise from above 0": all(
                below < above
                for below, above in zip((0.0, *self.bucket_s), self.bucket_s, strict=False)
            ),
            "warmup_steps: must not be negative": self.warmup_steps >= 0,
            "hold: must be 0 to 1": 0 <= self.hold <= 1,
            "copies: must not be negative": all(count >= 0 for count in self.copies.values()),
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ValueError("training." + "; training.".join(broken))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training but its data.

    Attributes:
        features: Must equal those of the cached features.
        network: Shape of the network.
        augmentation: Changes to the features.
        training: Length, rate and order.
        alphabet: Symbols of the transcripts.
    """

    features: FeatureSettings = FeatureSettings()
    network: NetworkSettings = NetworkSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    training: TrainingSettings = TrainingSettings()
    alphabet: Alphabet = ENGLISH


@dataclass(frozen=True)
class TrainingData:
    """Utterances with their features.

    Attributes:
        rows: The manifest's rows.
        features: Their features, in the same order.
    """

    rows: Sequence[Utterance]
    features: CachedFeatures


@dataclass
class Progress:
    """How far a training has come; saved in every checkpoint.

    Attributes:
        step: Batches trained on.
        passed: Whole passes over the data.
        batch: Batches of the current pass trained on.
        seconds: Time spent training.
        speech_s: Seconds of speech trained on.
        loss: Moving average of the loss for each label.
        wer: Word error rate at the last evaluation; NaN before the first.
        cer: Character error rate at the last evaluation.
    """

    step: int = 0
    passed: int = 0
    batch: int = 0
    seconds: float = 0.0
    speech_s: float = 0.0
    loss: float = math.nan
    wer: float = math.nan
    cer: float = math.nan


class CtcModel(keras.Model):  # type: ignore[misc]
    """The network with its loss: mean negative log-likelihood of a label."""

    def __init__(self, network: keras.Model) -> None:
        super().__init__()
        self.network = network

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.network(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        labels, label_lengths, logit_lengths = y
        losses = ctc_loss(labels, label_lengths, y_pred, logit_lengths)
        return ops.sum(losses) / ops.cast(ops.sum(label_lengths), losses.dtype)


class Trainer:
    """Runs a training in a folder: checkpoints, ``log.csv`` and ``recipe.json``.

    Args:
        recipe: What to train, and how.
        train: What to learn from.
        dev: What to judge by after every pass; may be empty.
        statistics: Normalise the features.
        folder: Where checkpoints and the log are kept; a training found there is
            resumed exactly where its last checkpoint was written.
        clock: Seconds that only rise.
        report: Called after every step.

    Raises:
        TrainingError: If the folder holds a training of another recipe, or cannot
            be written.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: TrainingData,
        dev: TrainingData,
        statistics: FeatureStatistics,
        folder: str | Path,
        clock: Callable[[], float] = time.monotonic,
        report: Callable[[Progress, float], None] = lambda progress, share: None,
    ) -> None:
        keras.utils.set_random_seed(recipe.training.seed)
        self.recipe = recipe
        self.statistics = statistics
        self.folder = Path(folder)
        self.progress = Progress()
        self._clock = clock
        self._report = report
        self._train = self._corpus(train)
        self._dev = self._corpus(dev)
        self._dev_rows = dev.rows
        copies = recipe.training.copies
        self._copies = np.array([copies.get(row.corpus, 1) for row in train.rows], int)
        if not self._copies[self._train.usable].any():
            raise TrainingError(
                "no utterance can be trained on: each is shorter than its transcript needs, "
                "or its corpus has 0 copies"
            )
        self._model = self._compile()
        self._stop = False

    @property
    def network(self) -> keras.Model:
        """The network in its present state."""
        return self._model.network

    @property
    def share(self) -> float:
        """Share of the training that is done, 0 to 1."""
        settings = self.recipe.training
        if settings.minutes:
            return min(1.0, self.progress.seconds / (60 * settings.minutes))
        batches = max(1, len(self._plan()))
        return min(1.0, (self.progress.passed + self.progress.batch / batches) / settings.passes)

    def stop(self) -> None:
        """Ask :meth:`run` to save a checkpoint and return after the current step."""
        self._stop = True

    def run(self) -> Progress:
        """Train to the end, or until :meth:`stop`; return how far it came.

        Raises:
            TrainingError: If the loss is not finite; the batch's recordings are named.
        """
        self._prepare_folder()
        self._resume()
        saved = self._clock()
        while not self._finished() and not self._stop:
            for batch, planned in prefetch(self._batches()):
                self._step(batch, planned)
                if self._clock() - saved > 60 * self.recipe.training.checkpoint_minutes:
                    self.save()
                    saved = self._clock()
                if self._stop or self._finished():
                    break
            else:
                self.progress.passed += 1
                self.progress.batch = 0
                self._plan_cache = None
                self._judge()
                self.save()
        if not self._stop:
            self._judge()
        self.save()
        return self.progress

    def evaluate(self) -> ErrorRates:
        """Return the greedy error rates on ``dev``."""
        texts: dict[int, str] = {}
        everyone = np.ones(len(self._dev_rows), int)
        for planned in self._dev.plan(everyone, np.random.default_rng(0), by_length=True):
            batch = self._dev.assemble(planned, None, False, np.random.default_rng(0))
            logits = self._model.predict_on_batch((batch.features, batch.lengths))
            lengths = self.recipe.network.output_frames(batch.lengths)
            for row, scores, length in zip(planned.rows, logits, lengths, strict=True):
                texts[int(row)] = greedy_text(scores[:length], self.recipe.alphabet)
        references = [row.text for row in self._dev_rows]
        return error_rates(references, [texts.get(i, "") for i in range(len(references))])

    def save(self) -> Path:
        """Write a checkpoint, so that a kill at any moment leaves a whole one.

        Raises:
            TrainingError: If it cannot be written; earlier checkpoints stay.
        """
        path = self.folder / f"checkpoint-{self.progress.step:08d}.npz"
        arrays = {name: ops.convert_to_numpy(value) for name, value in self._variables()}
        arrays["progress"] = np.array(json.dumps(asdict(self.progress)))
        temporary = path.with_suffix(".partial")
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise TrainingError(
                f"{path}: the checkpoint cannot be written ({error.strerror or error}); "
                "free some space and start again: training resumes from the one before"
            ) from error
        for old in checkpoints(self.folder)[:-KEPT_CHECKPOINTS]:
            old.unlink(missing_ok=True)
        return path

    def _corpus(self, data: TrainingData) -> Corpus:
        settings, frame_s = self.recipe.training, self.recipe.features.frame_s
        return Corpus(
            data.features,
            [self.recipe.alphabet.encode(row.text) for row in data.rows],
            self.statistics,
            self.recipe.network.stride,
            round(settings.batch_s / frame_s),
            [round(length / frame_s) for length in settings.bucket_s],
            frame_s,
        )

    def _compile(self) -> CtcModel:
        model = CtcModel(build_network(self.recipe.network))
        settings = self.recipe.training
        model.compile(
            optimizer=keras.optimizers.Adam(settings.learning_rate, global_clipnorm=settings.clip_norm),
            jit_compile=keras.backend.backend() == "jax",
        )
        model.optimizer.build(model.trainable_variables)
        return model

    def _finished(self) -> bool:
        settings = self.recipe.training
        if settings.minutes:
            return self.progress.seconds >= 60 * settings.minutes
        return self.progress.passed >= settings.passes

    _plan_cache: list[PlannedBatch] | None = None

    def _plan(self) -> list[PlannedBatch]:
        if self._plan_cache is None:
            passed = self.progress.passed
            self._plan_cache = self._train.plan(
                self._copies,
                np.random.default_rng([self.recipe.training.seed, passed]),
                tempo=self.recipe.augmentation.tempo,
                by_length=self.recipe.training.sort_first_pass and passed == 0,
            )
        return self._plan_cache

    def _batches(self) -> Iterator[tuple[Batch, PlannedBatch]]:
        """Yield the rest of the current pass."""
        augmentation, passed = self.recipe.augmentation, self.progress.passed
        for planned in self._plan()[self.progress.batch :]:
            random = np.random.default_rng([self.recipe.training.seed, passed, planned.number])
            masks = self.share >= augmentation.masks_from
            yield self._train.assemble(planned, augmentation, masks, random), planned

    def _step(self, batch: Batch, planned: PlannedBatch) -> None:
        started = self._clock()
        self._model.optimizer.learning_rate.assign(self._rate())
        targets = (
            batch.labels,
            batch.label_lengths,
            self.recipe.network.output_frames(batch.lengths),
        )
        result = self._model.train_on_batch((batch.features, batch.lengths), targets)
        loss = float(result[0] if isinstance(result, list) else result)
        progress = self.progress
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} at step {progress.step}, on {self._names(planned)}; "
                f"the last checkpoint in {self.folder} is whole: lower training.learning_rate "
                "or leave those recordings out, then start again"
            )
        progress.step += 1
        progress.batch += 1
        progress.seconds += self._clock() - started
        progress.speech_s += float(batch.lengths.sum()) * self.recipe.features.frame_s
        smooth = min(0.99, 1 - 1 / progress.step)
        before = progress.loss if math.isfinite(progress.loss) else loss
        progress.loss = smooth * before + (1 - smooth) * loss
        self._report(progress, self.share)

    def _names(self, planned: PlannedBatch) -> str:
        return ", ".join(f"row {row + 1}" for row in sorted({int(row) for row in planned.rows}))

    def _rate(self) -> float:
        settings = self.recipe.training
        warm = min(1.0, (self.progress.step + 1) / max(1, settings.warmup_steps))
        fallen = max(0.0, (self.share - settings.hold) / max(1e-9, 1 - settings.hold))
        return settings.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * min(1.0, fallen)))

    def _judge(self) -> None:
        if len(self._dev_rows):
            rates = self.evaluate()
            self.progress.wer, self.progress.cer = rates.wer, rates.cer
        path = self.folder / "log.csv"
        new = not path.exists()
        progress = self.progress
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(LOG_COLUMNS)
            writer.writerow(
                [
                    progress.step,
                    progress.passed,
                    round(progress.seconds / 60, 2),
                    round(progress.speech_s / 3600, 2),
                    round(progress.loss, 4),
                    round(progress.wer, 4),
                    round(progress.cer, 4),
                ]
            )
        self._report(progress, self.share)

    def _variables(self) -> list[tuple[str, Any]]:
        groups = (("model", self._model.variables), ("optimizer", self._model.optimizer.variables))
        return [
            (f"{group}/{index:04d}/{variable.path}", variable)
            for group, variables in groups
            for index, variable in enumerate(variables)
        ]

    def _prepare_folder(self) -> None:
        path = self.folder / "recipe.json"
        text = json.dumps(asdict(self.recipe), indent=2) + "\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not checkpoints(self.folder):
                path.write_text(text, encoding="utf-8")
            elif not path.exists() or path.read_text(encoding="utf-8") != text:
                raise TrainingError(
                    f"{self.folder}: holds a training of another recipe; give another folder, "
                    "or delete that one to start anew"
                )
        except OSError as error:
            raise TrainingError(f"{self.folder}: {error.strerror or error}") from error

    def _resume(self) -> None:
        """Load the newest checkpoint that is whole."""
        for path in reversed(checkpoints(self.folder)):
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    values = {name: arrays[name] for name in arrays.files}
                self.progress = Progress(**json.loads(str(values["progress"])))
                for name, variable in self._variables():
                    variable.assign(values[name])
            except (OSError, ValueError, KeyError, EOFError, zlib.error, BadZipFile):
                continue
            return


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a training's folder, oldest first."""
    return sorted(folder.glob("checkpoint-*.npz"))
