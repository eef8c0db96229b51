"""Train the acoustic network: batches in, checkpoints and a log out."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from model.batches import Batch, Corpus, PlannedBatch, prefetch
from model.checkpoint import Checkpoint, Progress, newest_checkpoint, write_checkpoint
from model.errors import TrainingError
from model.evaluation import ErrorRates, error_rates, greedy_text
from model.feature_cache import CachedFeatures
from model.features import FeatureStatistics
from model.manifest import Utterance, hours_by_corpus
from model.network import build_network, ctc_loss
from model.recipe import Recipe
from model.run_folder import TrainingInputs, append_log, digest_rows, prepare_folder


@dataclass(frozen=True)
class TrainingData:
    """Utterances with their features.

    Attributes:
        rows: The manifest's rows.
        features: Their features, in the same order.
    """

    rows: Sequence[Utterance]
    features: CachedFeatures


class CtcModel(keras.Model):  # type: ignore[misc]
    """The network with its loss: weighted mean negative log-likelihood of a label."""

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
        labels, label_lengths, logit_lengths, shares = y
        losses = ctc_loss(labels, label_lengths, y_pred, logit_lengths)
        return ops.sum(losses * ops.cast(shares, losses.dtype))


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
        report: Called after every step and every evaluation, with the share done.
        notify: Told of damaged checkpoints that are passed over and of what is left out.

    Raises:
        TrainingError: If no utterance can be trained on.
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
        notify: Callable[[str], None] = warnings.warn,
    ) -> None:
        keras.utils.set_random_seed(recipe.training.seed)
        self.recipe = recipe
        self.statistics = statistics
        self.folder = Path(folder)
        self.progress = Progress()
        self._clock = clock
        self._report = report
        self._notify = notify
        self._train = self._corpus(train)
        self._train_rows = train.rows
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
        self._planned = self._plan_pass()

    @property
    def network(self) -> keras.Model:
        """The network in its present state."""
        return self._model.network

    @property
    def share(self) -> float:
        """Share of the training that is done, 0 to 1."""
        return self._share_at(self.progress.batch)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        settings = self.recipe.training
        if settings.minutes:
            return self.progress.seconds >= 60 * settings.minutes
        return self.progress.passed >= settings.passes

    def stop(self) -> None:
        """Ask :meth:`run` to save a checkpoint and return after the current step."""
        self._stop = True

    def run(self) -> Progress:
        """Train to the end, or until :meth:`stop`; return how far it came.

        Raises:
            TrainingError: If the loss is not finite (the batch's recordings are named),
                the folder holds a training with other inputs, all its checkpoints are
                damaged, or it cannot be written.
        """
        rows = self._train_rows
        inputs = TrainingInputs(
            self.recipe, self.statistics, hours_by_corpus(rows), digest_rows(rows)
        )
        prepare_folder(self.folder, inputs, keras.backend.backend())
        self._resume()
        self._tell_what_is_left_out()
        while not (self.finished or self._stop):
            self._run_pass()
            if self.progress.batch == len(self._planned):
                self.progress.passed += 1
                self.progress.batch = 0
                self._planned = self._plan_pass()
                self._judge()
            elif self.finished:
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
        """Write a checkpoint and return its path.

        Raises:
            TrainingError: If it cannot be written; earlier checkpoints stay.
        """
        arrays = {name: ops.convert_to_numpy(value) for name, value in self._variables()}
        return write_checkpoint(self.folder, Checkpoint(self.progress, arrays))

    def _tell_what_is_left_out(self) -> None:
        short = len(self._train_rows) - len(self._train.usable)
        if short:
            self._notify(
                f"{short} of {len(self._train_rows)} recordings are too short for their "
                "transcripts and are left out"
            )
        unknown = self.recipe.training.copies.keys() - {row.corpus for row in self._train_rows}
        for name in sorted(unknown):
            self._notify(f"training.copies: there are no recordings of the corpus {name}")

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
            [row.weight for row in data.rows],
        )

    def _compile(self) -> CtcModel:
        model = CtcModel(build_network(self.recipe.network))
        settings = self.recipe.training
        model.compile(
            optimizer=keras.optimizers.Adam(
                settings.learning_rate, global_clipnorm=settings.clip_norm
            ),
            jit_compile=keras.backend.backend() == "jax",
        )
        model.optimizer.build(model.trainable_variables)
        return model

    def _plan_pass(self) -> list[PlannedBatch]:
        passed = self.progress.passed
        return self._train.plan(
            self._copies,
            np.random.default_rng([self.recipe.training.seed, passed]),
            tempo=self.recipe.augmentation.tempo,
            by_length=self.recipe.training.sort_first_pass and passed == 0,
        )

    def _share_at(self, batch: int) -> float:
        """Return the share of the training done when ``batch`` batches of this pass are."""
        settings = self.recipe.training
        if settings.minutes:
            return min(1.0, self.progress.seconds / (60 * settings.minutes))
        passed = self.progress.passed + batch / len(self._planned)
        return min(1.0, passed / settings.passes)

    def _run_pass(self) -> None:
        """Train on what is left of the current pass, or until it is time to end."""
        saved = self._clock()
        with closing(prefetch(self._batches())) as batches:
            for batch, planned in batches:
                self._step(batch, planned)
                if self._stop or self.finished:
                    return
                if self._clock() - saved > 60 * self.recipe.training.checkpoint_minutes:
                    self.save()
                    saved = self._clock()

    def _batches(self) -> Iterator[tuple[Batch, PlannedBatch]]:
        """Yield the rest of the current pass; run ahead of the training by a thread."""
        augmentation, passed = self.recipe.augmentation, self.progress.passed
        for planned in self._planned[self.progress.batch :]:
            random = np.random.default_rng([self.recipe.training.seed, passed, planned.number])
            masks = self._share_at(planned.number) >= augmentation.masks_from
            yield self._train.assemble(planned, augmentation, masks, random), planned

    def _step(self, batch: Batch, planned: PlannedBatch) -> None:
        started = self._clock()
        self._model.optimizer.learning_rate.assign(self._rate())
        targets = (
            batch.labels,
            batch.label_lengths,
            self.recipe.network.output_frames(batch.lengths),
            batch.shares,
        )
        result = self._model.train_on_batch((batch.features, batch.lengths), targets)
        loss = float(result[0] if isinstance(result, list) else result)
        progress = self.progress
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} at step {progress.step}, on {self._names(planned)}; "
                "lower training.learning_rate or leave those recordings out, and start anew in "
                f"another folder than {self.folder}, whose checkpoints are from before it"
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
        rows = sorted({int(row) for row in planned.rows})
        return ", ".join(str(self._train_rows[row].audio) for row in rows)

    def _rate(self) -> float:
        settings = self.recipe.training
        warm = min(1.0, (self.progress.step + 1) / max(1, settings.warmup_steps))
        fallen = max(0.0, (self.share - settings.hold) / max(1e-9, 1 - settings.hold))
        return settings.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * min(1.0, fallen)))

    def _judge(self) -> None:
        """Evaluate, and log the figures."""
        if len(self._dev_rows):
            rates = self.evaluate()
            self.progress.wer, self.progress.cer = rates.wer, rates.cer
        append_log(self.folder, self.progress)
        self._report(self.progress, self.share)

    def _variables(self) -> list[tuple[str, Any]]:
        groups = (("model", self._model.variables), ("optimizer", self._model.optimizer.variables))
        return [
            (f"{group}/{index:04d}/{variable.path}", variable)
            for group, variables in groups
            for index, variable in enumerate(variables)
        ]

    def _resume(self) -> None:
        """Go on where the newest whole checkpoint was written, if there is one.

        Variables are matched by their place: Keras numbers the unnamed layers in
        their paths by what else the process has built.
        """
        checkpoint = newest_checkpoint(self.folder, self._notify)
        if checkpoint is None:
            return
        values = {_place(name): array for name, array in checkpoint.arrays.items()}
        variables = {_place(name): variable for name, variable in self._variables()}
        if {place: value.shape for place, value in values.items()} != {
            place: tuple(variable.shape) for place, variable in variables.items()
        }:
            raise TrainingError(
                f"{self.folder}: its checkpoints are of another program version's network; "
                "give another folder"
            )
        for place, variable in variables.items():
            variable.assign(values[place])
        self.progress = checkpoint.progress
        self._planned = self._plan_pass()


def _place(name: str) -> str:
    """Return group and number of a checkpoint's array, as ``model/0000``."""
    return "/".join(name.split("/")[:2])
