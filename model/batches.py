"""Batches of utterances of similar length, in an order that a seed decides."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from model.augmentation import AugmentationSettings, change_tempo, mask_features, stretch_bands
from model.feature_cache import CachedFeatures
from model.features import FeatureStatistics

Item = TypeVar("Item")


@dataclass(frozen=True)
class PlannedBatch:
    """Which utterances make a batch, and how.

    Attributes:
        number: Position in the pass.
        rows: Index of each utterance in the corpus.
        frames: Feature frames of each after its change of tempo.
        shape: Frames and labels to which the batch is padded.
    """

    number: int
    rows: np.ndarray
    frames: np.ndarray
    shape: tuple[int, int]


@dataclass(frozen=True)
class Batch:
    """One training step's input.

    Attributes:
        features: float32 (batch, frames, mels), zero beyond each length.
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
    ) -> None:
        self._weights = np.ones(len(labels)) if weights is None else np.asarray(weights, float)
        self._features = features
        self._labels = [np.asarray(row, np.int32) for row in labels]
        self._statistics = statistics
        self._batch_frames = batch_frames
        self._frame_s = frame_s
        self._lengths = features.lengths()
        self._needed = np.array([stride * frames_needed(row) for row in self._labels])
        longest = int(self._lengths.max(initial=1))
        self._edges = np.array([*(edge for edge in bucket_frames if edge < longest), longest])

    @property
    def usable(self) -> np.ndarray:
        """Index of every utterance that is long enough for its transcript."""
        return np.flatnonzero((self._lengths >= self._needed) & (self._lengths > 0))

    def plan(
        self,
        copies: np.ndarray,
        random: np.random.Generator,
        tempo: float = 0.0,
        by_length: bool = False,
    ) -> list[PlannedBatch]:
        """Plan one pass.

        Args:
            copies: (utterances,) how often each utterance occurs in the pass.
            random: Decides tempo, company and order.
            tempo: Largest relative change of speed.
            by_length: Shortest first (SortaGrad; Amodei et al., 2016), else shuffled.
        """
        rows = np.repeat(self.usable, copies[self.usable])
        random.shuffle(rows)
        factors = random.uniform(1 - tempo, 1 + tempo, len(rows))
        frames = np.maximum(np.round(self._lengths[rows] / factors), self._needed[rows])
        frames = np.minimum(frames.astype(int), self._edges[-1])
        groups: list[tuple[tuple[int, int], np.ndarray]] = []
        buckets = np.searchsorted(self._edges, frames)
        for bucket in np.unique(buckets):
            members = np.flatnonzero(buckets == bucket)
            shape = (int(self._edges[bucket]), self._label_room(int(bucket), tempo))
            size = max(1, self._batch_frames // shape[0])
            for start in range(0, len(members), size):
                groups.append((shape, np.resize(members[start : start + size], size)))
        order = np.arange(len(groups)) if by_length else random.permutation(len(groups))
        return [
            PlannedBatch(number, rows[groups[index][1]], frames[groups[index][1]], groups[index][0])
            for number, index in enumerate(order)
        ]

    def assemble(
        self,
        planned: PlannedBatch,
        augmentation: AugmentationSettings | None,
        masks: bool,
        random: np.random.Generator,
    ) -> Batch:
        """Load, augment, normalise and pad one planned batch."""
        room, label_room = planned.shape
        count, bands = len(planned.rows), self._features.frames.shape[1]
        features = np.zeros((count, room, bands), np.float32)
        labels = np.zeros((count, label_room), np.int32)
        for place, (row, frames) in enumerate(zip(planned.rows, planned.frames, strict=True)):
            utterance = change_tempo(self._features.utterance(row), int(frames))
            if augmentation is not None and augmentation.vocal_tract:
                stretch = random.uniform(-augmentation.vocal_tract, augmentation.vocal_tract)
                utterance = stretch_bands(utterance, 1 + stretch)
            utterance = self._statistics.normalise(utterance)
            if augmentation is not None and masks:
                utterance = mask_features(utterance, augmentation, self._frame_s, random)
            features[place, : len(utterance)] = utterance
            labels[place, : len(self._labels[row])] = self._labels[row]
        label_lengths = np.array([len(self._labels[row]) for row in planned.rows], np.int32)
        weights = self._weights[planned.rows]
        return Batch(
            features=features,
            lengths=planned.frames.astype(np.int32),
            labels=labels,
            label_lengths=label_lengths,
            shares=(weights / max(1.0, float(weights @ label_lengths))).astype(np.float32),
        )

    def _label_room(self, bucket: int, tempo: float) -> int:
        """Return the most labels that an utterance of this bucket can have, in tens."""
        shortest = np.round(self._lengths[self.usable] / (1 + tempo))
        fits = shortest <= self._edges[bucket]
        most = max((len(self._labels[row]) for row in self.usable[fits]), default=1)
        return -(-most // 10) * 10


def frames_needed(labels: np.ndarray) -> int:
    """Return the output frames that CTC needs: one a label, one more between equal ones."""
    return len(labels) + int(np.count_nonzero(labels[1:] == labels[:-1]))


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
