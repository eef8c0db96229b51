"""Train the acoustic network: batches in, checkpoints and logs out."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path

import keras
import numpy as np

from model.bundle import ModelBundle
from model.corpora.manifest import hours_by_corpus
from model.errors import TrainingError
from model.evaluation.rates import ErrorRates, error_rates, greedy_text
from model.features import FeatureStatistics
from model.recipe import Recipe
from model.training.averaging import EVERY
from model.training.batches import Batch, PlannedBatch, prefetch
from model.training.checkpoint import (
    Checkpoint,
    Progress,
    checkpoint_path,
    read_best,
    write_best,
    write_checkpoint,
)
from model.training.compiled.library import StepLibrary
from model.training.compiled.step import CompiledStep
from model.training.distribution import Distribution, first_checkpoint
from model.training.failures import divergence, edited, left_out, naming_lack_of_memory
from model.training.fine_tuning import identify
from model.training.log import TrainingLog
from model.training.passes import TrainingData, copies_in_pass, make_corpus, require_usable
from model.training.run_folder import (
    TrainingInputs,
    changed_files,
    digest_files,
    digest_rows,
    prepare_folder,
)
from model.training.schedule import learning_rate
from model.training.state import TrainingState, is_whole
from model.training.step import KerasStep, Step, compiled_model


class Trainer:
    """Runs a training in a folder: checkpoints, logs and ``recipe.json``.

    Args:
        recipe: What to train, and how.
        train: What to learn from.
        dev: What to judge by after every pass; may be empty.
        statistics: Normalise the features.
        folder: Where checkpoints and the log are kept; a training found there is
            resumed exactly where its last checkpoint was written.
        clock: Seconds that only rise.
        report: Called after every step and every evaluation, with the share done.
        notify: Told of damaged checkpoints that are passed over, of what is left out,
            of manifests that were edited and of files that cannot be written.
        init: The model whose weights to start from; its features, statistics, alphabet
            and network are those of ``recipe`` and ``statistics``.
        manifests: Files that the rows come from.
        distribution: Over which devices and hosts, all of which run the same Trainer; one
            device where None.  Only the first host uses ``folder`` and ``report``.
        library: Computes the steps; Keras does where None.

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
        init: ModelBundle | None = None,
        manifests: Sequence[Path] = (),
        distribution: Distribution | None = None,
        library: StepLibrary | None = None,
    ) -> None:
        keras.utils.set_random_seed(recipe.training.seed)
        self.recipe = recipe
        self.statistics = statistics
        self.folder = Path(folder)
        self.progress = Progress()
        self._clock = clock
        self._report = report
        self._notify = notify
        self._init = init
        self._distribution = distribution or Distribution()
        self._manifests = digest_files(manifests)
        self._train = make_corpus(train, recipe, statistics)
        self._train_data = train
        self._dev = make_corpus(dev, recipe, statistics)
        self._dev_rows = dev.rows
        require_usable(train, self._train.usable, recipe.training)
        with self._naming_lack_of_memory(), self._distribution.scope():
            self._model = compiled_model(recipe, init)
            self._computing = self._make_step(library)
        self._state = TrainingState(self._model, self._computing, recipe.training.average)
        self._log = TrainingLog(self.folder, recipe.training.log_steps, notify)
        self._best = (math.inf, math.inf)
        self._asked_to_stop = self._stop = False
        self._planned = self._plan_pass()

    @property
    def network(self) -> keras.Model:
        """The network in its present state, without averaging."""
        self._computing.store()
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
        """Ask :meth:`run` to save a checkpoint and return after the current step.

        With several hosts, all of them do after their next step.
        """
        self._asked_to_stop = True
        self._stop = self._stop or self._distribution.hosts.count == 1

    def run(self) -> Progress:
        """Train to the end, or until :meth:`stop`; return how far it came.

        Raises:
            TrainingError: If the loss or its gradient is not finite (the batch's
                recordings are named), memory runs out, the folder holds a training with
                other inputs, all its checkpoints are damaged, or the last checkpoint
                cannot be written.
        """
        rows = self._train_data.rows
        inputs = TrainingInputs(
            self.recipe,
            self.statistics,
            hours_by_corpus(rows),
            digest_rows(rows),
            self._manifests,
            identify(self._init),
            digest_rows(self._dev_rows),
            self._train_data.base,
        )
        if self._distribution.first:
            prepare_folder(self.folder, inputs, keras.backend.backend())
        self._distribution.require_equal("recipe, recordings, --stats or --init", inputs.decisive())
        with self._naming_lack_of_memory():
            self._resume()
            self._tell_what_is_left_out()
            while not (self.finished or self._stop):
                self._tell_what_was_edited()
                self._run_pass()
                self._end_pass()
        return self.progress

    def evaluate(self) -> ErrorRates:
        """Return the greedy error rates on ``dev``, of the averaged weights if there are any."""
        texts: dict[int, str] = {}
        everyone = np.ones(len(self._dev_rows), int)
        with self._state.averaged():
            for planned in self._dev.plan(everyone, np.random.default_rng(0), by_length=True):
                batch = self._dev.assemble(planned, None, 0, np.random.default_rng(0))
                logits = self._computing.predict(batch.features, batch.lengths)
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
        return write_checkpoint(self.folder, Checkpoint(self.progress, self._state.arrays()))

    def _make_step(self, library: StepLibrary | None) -> Step:
        if library is not None:
            return CompiledStep(library, self._model, self.recipe)
        return KerasStep(self._model, self.recipe, self._distribution)

    def _plan_pass(self) -> list[PlannedBatch]:
        settings, passed = self.recipe.training, self.progress.passed
        random = np.random.default_rng([settings.seed, passed])
        return self._train.plan(
            copies_in_pass(self._train_data, self._train.usable, settings, random),
            random,
            tempo=self.recipe.augmentation.tempo,
            by_length=settings.sort_first_pass and passed == 0,
            multiple=self._distribution.devices,
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
                if self._is_time_to_judge():
                    self._judge()
                if self._clock() - saved > 60 * self.recipe.training.checkpoint_minutes:
                    self._save_or_tell()
                    saved = self._clock()

    def _end_pass(self) -> None:
        """Judge where a pass or the training has ended, and save; the last time it must work.

        Whoever asks to stop need not wait for the evaluation: going on begins with it.
        """
        if self.finished or not self._stop:
            # Other devices than before the resume may make fewer batches than were done.
            if self.progress.batch >= len(self._planned):
                self.progress.passed += 1
                self.progress.batch = 0
                self._planned = self._plan_pass()
            self._judge()
        if not (self.finished or self._stop):
            self._save_or_tell()
        elif self._distribution.first:
            self.save()

    def _batches(self) -> Iterator[tuple[Batch, PlannedBatch]]:
        """Yield the rest of the current pass; run ahead of the training by a thread."""
        augmentation, passed = self.recipe.augmentation, self.progress.passed
        for planned in self._planned[self.progress.batch :]:
            random = np.random.default_rng([self.recipe.training.seed, passed, planned.number])
            masks = augmentation.mask_strength(self._share_at(planned.number))
            part = self._distribution.part(len(planned.rows))
            yield self._train.assemble(planned, augmentation, masks, random, part), planned

    def _step(self, batch: Batch, planned: PlannedBatch) -> None:
        """Train on one batch."""
        started = self._clock()
        rate = learning_rate(self.recipe.training, self.progress.step, self.share)
        loss, norm = self._compute(batch, rate)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._diverged(loss, planned)
        # Hosts must go on alike, though their clocks and signals differ.
        seconds = self._clock() - started
        seconds, self._stop = self._distribution.agree(seconds, self._asked_to_stop)
        self._count(loss, seconds, float(planned.frames.sum()))
        if self._distribution.first:
            self._log.add_step(self.progress, loss, rate, norm)
            self._report(self.progress, self.share)

    def _compute(self, batch: Batch, rate: float) -> tuple[float, float]:
        """Learn from a batch; return its loss and the norm of the gradient before clipping."""
        return self._computing.train(batch, rate)

    def _count(self, loss: float, seconds: float, frames: float) -> None:
        """Note a step, and take its weights into their average where it is time to."""
        progress = self.progress
        progress.step += 1
        progress.batch += 1
        progress.seconds += seconds
        progress.speech_s += frames * self.recipe.features.frame_s
        smooth = min(0.99, 1 - 1 / progress.step)
        before = progress.loss if math.isfinite(progress.loss) else loss
        progress.loss = smooth * before + (1 - smooth) * loss
        if progress.step % EVERY == 0 or progress.batch == len(self._planned) or self.finished:
            self._state.update_average(progress.step)
            progress.averaged = progress.step

    def _is_time_to_judge(self) -> bool:
        """Whether it is, within a pass; its end is judged anyway."""
        progress, minutes = self.progress, self.recipe.training.judge_minutes
        due = minutes and progress.seconds - progress.judged_s >= 60 * minutes
        return bool(due) and progress.batch < len(self._planned)

    def _judge(self) -> None:
        """Evaluate, log the figures, and keep the weights if they are the best so far."""
        progress = self.progress
        progress.judged, progress.judged_s = progress.step, progress.seconds
        if len(self._dev_rows):
            rates = self.evaluate()
            progress.wer, progress.cer = rates.wer, rates.cer
            if self._distribution.first and (rates.wer, rates.cer) < self._best:
                self._keep_best()
        if self._distribution.first:
            self._log.add_evaluation(progress)
            self._report(progress, self.share)

    def _keep_best(self) -> None:
        try:
            write_best(self.folder, Checkpoint(self.progress, self._state.arrays()))
        except TrainingError as error:
            self._notify(f"{error}; the training goes on")
        else:
            self._best = (self.progress.wer, self.progress.cer)

    def _save_or_tell(self) -> None:
        if not self._distribution.first:
            return
        try:
            self.save()
        except TrainingError as error:
            self._notify(f"{error}; the training goes on, and tries again at the next checkpoint")

    def _resume(self) -> None:
        """Go on where the newest whole checkpoint was written; start where there is none."""
        checkpoint = first_checkpoint(self._distribution, self.folder, self._notify)
        if checkpoint is not None:
            try:
                self._state.restore(checkpoint.arrays, checkpoint.progress.averaged)
            except TrainingError as error:
                raise TrainingError(f"{self.folder}: {error}") from error
            self.progress = checkpoint.progress
            self._planned = self._plan_pass()
        if self._distribution.first:
            self._log.begin(checkpoint.progress if checkpoint else None)
            best = read_best(self.folder, self._notify)
            if best is not None:
                self._best = (best.progress.wer, best.progress.cer)
        if checkpoint is None and self._init is not None:
            self._judge()

    def _naming_lack_of_memory(self) -> AbstractContextManager[None]:
        return naming_lack_of_memory(self.folder, lambda: self.progress.step)

    def _tell_what_is_left_out(self) -> None:
        rows, copies = self._train_data.rows, self.recipe.training.copies
        for notice in left_out(rows, len(self._train.usable), copies):
            self._notify(notice)

    def _tell_what_was_edited(self) -> None:
        for path in changed_files(self._manifests):
            del self._manifests[path]
            self._notify(edited(path))

    def _diverged(self, loss: float, planned: PlannedBatch) -> TrainingError:
        """Return the error for a step without finite loss or gradient; save the weights before.

        A checkpoint of just then stays: the optimizer's momentum has moved the weights since.
        """
        saved = checkpoint_path(self.folder, self.progress.step).exists()
        if not saved and is_whole(self._state.arrays()):
            self._save_or_tell()
        rows = [self._train_data.rows[row] for row in np.unique(planned.rows)]
        return divergence(loss, self.progress.step, rows, self.folder)
