"""Tell speech from other sound, one short frame at a time."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from streamer.audio import SAMPLE_RATE

_INT16_SCALE = 32_768


class SpeechDetector(Protocol):
    """Decides frame by frame whether somebody speaks.

    It may remember what it heard, so each stream needs one of its own.
    """

    @property
    def frame(self) -> int:
        """Samples in a frame."""
        ...

    def is_speech(self, frame: np.ndarray) -> bool:
        """Tell whether a frame, float32 (frame,) of -1 to 1, holds speech.

        Frames are given in the order of the stream, without holes.
        """
        ...

    def reset(self) -> None:
        """Forget what was heard: the next frame does not follow on the last one."""
        ...


class WebRtcDetector:
    """The voice activity detector of WebRTC.

    Args:
        aggressiveness: 0 to 3; the higher, the more is taken for noise.
        frame_ms: Length of a frame, milliseconds: 10, 20 or 30.
    """

    def __init__(self, aggressiveness: int, frame_ms: int) -> None:
        self._aggressiveness = aggressiveness
        self._frame = SAMPLE_RATE * frame_ms // 1_000
        self.reset()

    @property
    def frame(self) -> int:
        """Samples in a frame."""
        return self._frame

    def is_speech(self, frame: np.ndarray) -> bool:
        """Tell whether a frame, float32 (frame,), holds speech; louder than 1 is clipped."""
        scaled = np.clip(frame * _INT16_SCALE, -_INT16_SCALE, _INT16_SCALE - 1)
        return bool(self._vad.is_speech(scaled.astype(np.int16).tobytes(), SAMPLE_RATE))

    def reset(self) -> None:
        """Start anew, with no noise level learnt."""
        import webrtcvad

        self._vad = webrtcvad.Vad(self._aggressiveness)
