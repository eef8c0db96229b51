"""Batches of utterances of similar length, in an order that a seed decides."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from model.alphabet import frames_needed
from model.features import FeatureStatistics
from model.training.feature_cache import CachedFeatures
from model.variation.augmentation import (
    AugmentationSettings,
    change_tempo,
    mask_features,
    stretch_bands,
)
from model.variation.surroundings import Surroundings

Item = TypeVar("Item")


@dataclass(frozen=True)
class PlannedBatch:
    """Which utterances make a batch, and how.

    Attributes:
        number: Position in the pass.
        rows: Index of each utterance in the corpus.
        views: Which of its views each is read from: 0 is clean, the others perturbed.
        frames: Feature frames of each after its change of tempo.
        shape: Frames and labels to which the batch is padded.
    """

    number: int
    rows: np.ndarray
    views: np.ndarray
    frames: np.ndarray
    shape: tuple[int, int]


@dataclass(frozen=True)
class Batch:
    """One training step's input.

    Where a corpus is paired, rows 0 and 1, 2 and 3 and so on are views of the same utterances.

    Attributes:
        features: float32 (batch, frames, size), zero beyond each length.
        lengths: int32 (batch,) feature frames.
        labels: int32 (batch, labels), zero beyond each length.
        label_lengths: int32 (batch,).
        shares: float32 (batch,), what a row's negative log-likelihood is multiplied
            with in the loss, a sum over rows: the row's weight over the weighted number
            of labels in the whole batch.
    """

    features: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    label_lengths: np.ndarray
    shares: np.ndarray


class Corpus:
    """Cached features with their labels, cut into batches of few shapes.

    Args:
        features: Cached features of each utterance.
        labels: Labels of each utterance.
        statistics: Normalise the features.
        stride: Feature frames in one frame of the network's output.
        batch_frames: Feature frames in a batch, padding included.
        bucket_frames: Rising lengths to which batches are padded.
        frame_s: Seconds from one feature frame to the next.
        weights: Weight of each utterance in the loss; 1 where None.
        perturbed: Further views of every utterance: features of its perturbed sound.
        perturbed_share: Share of the draws that read an utterance from one of those,
            each as likely; one too short for the transcript gives way to the clean view.
        surroundings: Changes the features of what is augmented, with the voices of other
            utterances, if given.
        paired: Whether what is augmented is in the batch twice, masked apart; only half as
            many utterances make a batch then.
    """

    def __init__(
        self,
        features: CachedFeatures,
        labels: Sequence[Sequence[int]],
        statistics: FeatureStatistics,
        stride: int,
        batch_frames: int,
        bucket_frames: Sequence[int],
        frame_s: float,
        weights: Sequence[float] | None = None,
        perturbed: Sequence[CachedFeatures] = (),
        perturbed_share: float = 0.0,
        surroundings: Surroundings | None = None,
        paired: bool = False,
    ) -> None:
        self._weights = np.ones(len(labels)) if weights is None else np.asarray(weights, float)
        self._views = [features, *perturbed]
        self._perturbed_share = perturbed_share if perturbed else 0.0
        self._surroundings = surroundings
        self._labels = [np.asarray(row, np.int32) for row in labels]
        self._label_lengths = np.array([len(row) for row in self._labels], np.int32)
        self._statistics = statistics
        self._batch_frames = batch_frames // 2 if paired else batch_frames
        self._paired = paired
        self._frame_s = frame_s
        self._lengths = np.stack([view.lengths() for view in self._views])
        self._needed = np.array([stride * frames_needed(row) for row in self._labels])
        longest = int(self._lengths.max(initial=1))
        self._edges = np.array([*(edge for edge in bucket_frames if edge < longest), longest])

    @property
    def usable(self) -> np.ndarray:
        """Index of every utterance that is long enough for its transcript."""
        return np.flatnonzero(self._fits()[0])

    def plan(
        self,
        copies: np.ndarray,
        random: np.random.Generator,
        tempo: float = 0.0,
        by_length: bool = False,
        multiple: int = 1,
    ) -> list[PlannedBatch]:
        """Plan one pass.

        Args:
            copies: (utterances,) how often each utterance occurs in the pass.
            random: Decides tempo, view, company and order.
            tempo: Largest relative change of speed.
            by_length: Shortest first (SortaGrad; Amodei et al., 2016), else shuffled.
            multiple: The number of utterances in a batch is a multiple of this, so that
                as many devices can share it.
        """
        rows = np.repeat(self.usable, copies[self.usable])
        random.shuffle(rows)
        factors = random.uniform(1 - tempo, 1 + tempo, len(rows))
        views = self._draw_views(rows, random)
        frames = np.maximum(np.round(self._lengths[views, rows] / factors), self._needed[rows])
        frames = np.minimum(frames.astype(int), self._edges[-1])
        groups: list[tuple[np.ndarray, tuple[int, int]]] = []
        buckets = np.searchsorted(self._edges, frames)
        for bucket in np.unique(buckets):
            members = np.flatnonzero(buckets == bucket)
            shape = (int(self._edges[bucket]), self._label_room(int(bucket), tempo))
            size = max(1, self._batch_frames // shape[0] // multiple) * multiple
            for start in range(0, len(members), size):
                groups.append((np.resize(members[start : start + size], size), shape))
        order = np.arange(len(groups)) if by_length else random.permutation(len(groups))
        return [
            PlannedBatch(number, rows[members], views[members], frames[members], shape)
            for number, (members, shape) in enumerate(groups[index] for index in order)
        ]

    def assemble(
        self,
        planned: PlannedBatch,
        augmentation: AugmentationSettings | None,
        masks: float,
        random: np.random.Generator,
        part: slice = slice(None),
    ) -> Batch:
        """Load, augment, normalise and pad one planned batch.

        Args:
            planned: By :meth:`plan`.
            augmentation: Changes to the features; none where None.
            masks: Share of their full size that masks have; 0 for none.
            random: Decides the changes, row by row: a row's are the same in every part.
            part: Which of the planned rows to load; what they count for in the loss of
                the whole batch stays the same.
        """
        room, label_room = planned.shape
        rows, views, frames = planned.rows[part], planned.views[part], planned.frames[part]
        times = 2 if self._paired and augmentation is not None else 1
        features = np.zeros((len(rows), times, room, len(self._statistics.mean)), np.float32)
        labels = np.zeros((len(rows), label_room), np.int32)
        randoms = random.spawn(len(planned.rows))[part]
        for place, (row, view, own) in enumerate(zip(rows, views, randoms, strict=True)):
            utterance = change_tempo(self._views[view].utterance(row), int(frames[place]))
            utterance = self._vary(utterance, augmentation, own)
            for copy in range(times):
                masked = self._mask(utterance, augmentation, masks, own)
                features[place, copy, : len(utterance)] = masked
            labels[place, : len(self._labels[row])] = self._labels[row]
        return Batch(
            features=features.reshape(-1, *features.shape[2:]),
            lengths=np.repeat(frames, times).astype(np.int32),
            labels=np.repeat(labels, times, axis=0),
            label_lengths=np.repeat(self._label_lengths[rows], times),
            shares=np.repeat(self._shares(planned.rows)[part] / np.float32(times), times),
        )

    def _vary(
        self,
        utterance: np.ndarray,
        augmentation: AugmentationSettings | None,
        random: np.random.Generator,
    ) -> np.ndarray:
        """Return one utterance's features (frames, size) varied and normalised."""
        if augmentation is not None and augmentation.vocal_tract:
            stretch = random.uniform(-augmentation.vocal_tract, augmentation.vocal_tract)
            utterance = stretch_bands(utterance, 1 + stretch)
        if augmentation is not None and self._surroundings is not None:
            utterance = self._surroundings.change(utterance, random, self._voice)
        return self._statistics.normalise(utterance)

    def _mask(
        self,
        utterance: np.ndarray,
        augmentation: AugmentationSettings | None,
        masks: float,
        random: np.random.Generator,
    ) -> np.ndarray:
        """Return one utterance's normalised features (frames, size) with masks."""
        if augmentation is None or not masks:
            return utterance
        return mask_features(utterance, augmentation, self._frame_s, random, masks)

    def _voice(self, random: np.random.Generator) -> np.ndarray:
        """Return the clean features (frames, size) of any utterance."""
        return self._views[0].utterance(int(random.integers(len(self._labels))))

    def _shares(self, rows: np.ndarray) -> np.ndarray:
        """Return what each of a batch's rows is multiplied with; see :class:`Batch`."""
        weights = self._weights[rows]
        labels = float(weights @ self._label_lengths[rows])
        return (weights / (labels or 1.0)).astype(np.float32)

    def _fits(self) -> np.ndarray:
        """Return whether each view of each utterance is long enough, (views, utterances)."""
        return (self._lengths >= self._needed) & (self._lengths > 0)

    def _draw_views(self, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return from which view each of ``rows`` is read; int (rows,)."""
        if not self._perturbed_share:
            return np.zeros(len(rows), int)
        views = random.integers(1, len(self._views), len(rows))
        perturbed = random.random(len(rows)) < self._perturbed_share
        return np.where(perturbed & self._fits()[views, rows], views, 0)

    def _label_room(self, bucket: int, tempo: float) -> int:
        """Return the most labels that an utterance of this bucket can have, in tens."""
        lengths = np.where(self._fits(), self._lengths, self._lengths[0])
        shortest = np.round(lengths[:, self.usable].min(axis=0) / (1 + tempo))
        fits = shortest <= self._edges[bucket]
        most = max((len(self._labels[row]) for row in self.usable[fits]), default=1)
        return -(-most // 10) * 10


@dataclass(frozen=True)
class _End:
    """Follows the last item; ``error`` is what ended them, if something did."""

    error: BaseException | None = None


def prefetch(items: Iterable[Item], ahead: int = 4) -> Generator[Item, None, None]:
    """Yield ``items``, computed by a thread up to ``ahead`` of the consumer.

    An exception in ``items`` is raised to the consumer; closing ends the thread.
    """
    ready: queue.Queue[Item | _End] = queue.Queue(ahead)
    closed = threading.Event()

    def put(item: Item | _End) -> None:
        while not closed.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        end = _End()
        try:
            for item in items:
                put(item)
                if closed.is_set():
                    return
        except BaseException as error:
            end = _End(error)
        put(end)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        thread.join()
