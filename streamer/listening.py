"""From audio to frames of features and voice activity: all that happens before utterances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.features import FeatureExtractor
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.detector import SpeechDetector
from streamer.events import AudioGap, EndReason


@dataclass(frozen=True)
class Listened:
    """Frames of the stream, following on those before; a gap or an end alone parts them.

    Frame ``i`` begins at ``start + i * hop``, as the extractor's frames do.

    Attributes:
        start: Index in the stream of the first frame's first sample.
        features: float32 (frames, size), frames at least 1.
        voiced: bool (frames,): whether the hop that a frame begins with holds speech.
        power: float32 (frames,): mean square of that hop.
        end: Index in the stream of the sample after the last one that the last frame covers.
    """

    start: int
    features: np.ndarray
    voiced: np.ndarray
    power: np.ndarray
    end: int


@dataclass(frozen=True)
class Ended:
    """What was said before goes no further, though no audio need be lost here.

    Attributes:
        reason: Why.
    """

    reason: EndReason


ListenerItem = Listened | AudioGap | Ended


class Listener:
    """Turn the blocks of one stream into frames, all of them, on one grid.

    A recording that is heard from its start gives exactly the frames that the extractor
    makes of it offline.  Behind a gap the grid begins anew.  Voice activity is judged in
    frames of the detector; a hop takes the judgement of the one that its middle lies in.

    Owns the detector, the feature stream, and the samples and frames that wait for more:
    at most a window and a frame of the detector.

    Args:
        detector: Used for this stream only.
        extractor: Shared; the one that the model was trained with.
    """

    def __init__(self, detector: SpeechDetector, extractor: FeatureExtractor) -> None:
        self._detector = detector
        self._extractor = extractor
        self._hop = extractor.settings.hop
        self._covered = max(0, extractor.settings.window - self._hop)
        self._end = 0
        self._restart(0)

    def push(self, block: AudioBlock) -> list[ListenerItem]:
        """Take the next block and return what it tells, in order.

        Lost audio is told as an :class:`~streamer.events.AudioGap`, which ends what was
        said before as :class:`Ended` does.
        """
        items: list[ListenerItem] = []
        if block.lost_before or block.start != self._end:
            items += self._rest()
            self._restart(block.start)
        if block.lost_before:
            gap_start = block.start - block.lost_before
            items.append(AudioGap(gap_start / SAMPLE_RATE, block.lost_before / SAMPLE_RATE))
        self._end = block.end
        self._take(block.samples)
        return [*items, *self._give(min(len(self._features), len(self._voiced)))]

    def flush(self, reason: EndReason = "end") -> list[ListenerItem]:
        """End what was said, as at the stream's end; the stream may go on all the same."""
        items = [*self._rest(), Ended(reason)]
        self._restart(self._end)
        return items

    def _restart(self, index: int) -> None:
        """Begin at ``index`` with nothing heard before it."""
        self._detector.reset()
        self._stream = self._extractor.stream()
        self._frames = _Pieces(self._detector.frame)
        self._hops = _Pieces(self._hop)
        self._judged = 0
        self._position = index
        self._features = np.zeros((0, self._extractor.settings.size), np.float32)
        self._power = np.zeros(0, np.float32)
        self._voiced: list[bool] = []

    def _take(self, samples: np.ndarray) -> None:
        self._features = np.concatenate([self._features, self._stream.push(samples)])
        power = np.mean(np.square(self._hops.push(samples)), axis=1)
        self._power = np.concatenate([self._power, power])
        for frame in self._frames.push(samples):
            hops = self._hops_judged(self._judged + 1) - self._hops_judged(self._judged)
            self._voiced += [self._detector.is_speech(frame)] * hops
            self._judged += 1

    def _hops_judged(self, frames: int) -> int:
        """Hops whose middle lies within the first ``frames`` frames of the detector."""
        return max(0, -(-(frames * self._detector.frame - self._hop // 2) // self._hop))

    def _rest(self) -> list[ListenerItem]:
        """Give the frames that wait for the detector, which gets no more to judge, unvoiced."""
        self._voiced += [False] * (len(self._features) - len(self._voiced))
        return self._give(len(self._features))

    def _give(self, count: int) -> list[ListenerItem]:
        if count == 0:
            return []
        start = self._position
        self._position += count * self._hop
        listened = Listened(
            start,
            self._features[:count],
            np.array(self._voiced[:count]),
            self._power[:count],
            self._position + self._covered,
        )
        self._features = self._features[count:]
        self._power = self._power[count:]
        del self._voiced[:count]
        return [listened]


class _Pieces:
    """Cuts audio that comes in blocks into pieces of one length; owns what fills none."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._waiting = np.zeros(0, np.float32)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Add samples (n,) and return the pieces (pieces, length) that they complete."""
        samples = np.concatenate([self._waiting, samples])
        whole = len(samples) // self._length * self._length
        self._waiting = samples[whole:].copy()
        return samples[:whole].reshape(-1, self._length)
