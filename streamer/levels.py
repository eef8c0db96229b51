"""Watch the input level: show it, and say when a microphone is muted or too loud."""

from __future__ import annotations

from collections import deque

import numpy as np

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.events import Notice

FRAME = SAMPLE_RATE // 10
"""Samples that one level is measured over: 100 ms."""

LOWEST_DB = -100.0
"""Level of digital silence, dB of full scale."""

SILENT_SWING = 4 / 32768
"""Highest minus lowest sample of a muted input: the last bits of 16, whatever its offset."""

SILENT_S = 3.0
"""Silence after which an input counts as muted, seconds."""

FULL_SCALE = 0.99
"""Samples at least this large count as clipped; resampling rounds their tops off a little."""

CLIPPED_PER_S = 8
"""Clipped samples in a second that are still let pass: single peaks do no harm."""

REPEAT_S = 30.0
"""Stream time in which the same warning is given only once, seconds."""

_SILENT_TEXT = (
    "the input is silent: if the microphone is muted, check its switch and `alsamixer`; "
    "if it is the wrong one, choose another with --list-devices and --device"
)
_CLIPPING_TEXT = (
    "the input is too loud and clips: lower the capture level in `alsamixer` "
    "or move away from the microphone"
)
_BACK_TEXT = "the input is no longer silent"


class LevelMeter:
    """Measures the level of a stream and warns of silence and clipping.

    Works in frames of 100 ms, so that the size of the blocks makes no difference;
    owns the samples that do not fill a frame yet.  Time is counted in samples.
    """

    def __init__(self) -> None:
        self._pending = np.zeros(0, np.float32)
        self._level_db = LOWEST_DB
        self._silent_frames = 0
        self._silence_told = False
        self._clipped: deque[int] = deque(maxlen=SAMPLE_RATE // FRAME)
        self._warned_s: dict[str, float] = {}

    @property
    def level_db(self) -> float:
        """Root mean square of the last whole 100 ms, dB of full scale; -100 for silence."""
        return self._level_db

    def push(self, block: AudioBlock) -> list[Notice]:
        """Take the next block and return the notices that it gives rise to.

        Returns:
            ``input_silent`` after 3 s of nearly zero samples, ``input_back`` (info)
            when that ends, ``input_clipping`` when more than a few samples of a
            second are at full scale; each warning at most every 30 s.
        """
        self._pending = np.concatenate([self._pending, block.samples])
        notices: list[Notice] = []
        while len(self._pending) >= FRAME:
            frame, self._pending = self._pending[:FRAME], self._pending[FRAME:]
            end_s = (block.end - len(self._pending)) / SAMPLE_RATE
            self._level_db = level_db(frame)
            notices += self._watch_silence(frame, end_s)
            notices += self._watch_clipping(frame, end_s)
        return notices

    def _watch_silence(self, frame: np.ndarray, end_s: float) -> list[Notice]:
        if np.ptp(frame) > SILENT_SWING:
            self._silent_frames = 0
            told, self._silence_told = self._silence_told, False
            return [Notice("input_back", _BACK_TEXT, "info")] if told else []
        self._silent_frames += 1
        if self._silence_told or self._silent_frames * FRAME < SILENT_S * SAMPLE_RATE:
            return []
        notices = self._warning("input_silent", _SILENT_TEXT, end_s)
        self._silence_told = bool(notices)
        return notices

    def _watch_clipping(self, frame: np.ndarray, end_s: float) -> list[Notice]:
        self._clipped.append(int(np.count_nonzero(np.abs(frame) >= FULL_SCALE)))
        if sum(self._clipped) <= CLIPPED_PER_S:
            return []
        return self._warning("input_clipping", _CLIPPING_TEXT, end_s)

    def _warning(self, kind: str, text: str, end_s: float) -> list[Notice]:
        """Return the warning, or nothing if it was given less than 30 s ago."""
        if end_s - self._warned_s.get(kind, -REPEAT_S) < REPEAT_S:
            return []
        self._warned_s[kind] = end_s
        return [Notice(kind, text)]


def level_db(frame: np.ndarray) -> float:
    power = float(np.mean(np.square(frame, dtype=np.float64)))
    return max(LOWEST_DB, 10 * np.log10(power)) if power > 0 else LOWEST_DB
