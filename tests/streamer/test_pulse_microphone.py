"""The microphone as it really is: PortAudio and ALSA, with a virtual sound card below."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from scipy.signal import chirp, correlate

from streamer.audio import SAMPLE_RATE

CARD_RATE = 48_000
FINE_RATE = 4 * SAMPLE_RATE

LONGEST_S = 30.0

RECORD = """
import sys
import numpy as np
from streamer.audio import SAMPLE_RATE
from streamer.events import Notice
from streamer.microphone import MicrophoneSource
from streamer.settings import AudioSettings

path, wanted_s = sys.argv[1], float(sys.argv[2])
heard = []
end = lost = since_sound = 0
with MicrophoneSource("", AudioSettings(reopen_every_s=0.2)) as source:
    for item in source:
        if isinstance(item, Notice):
            print(item.kind, flush=True)
            continue
        assert item.start == end + item.lost_before
        end, lost = item.end, lost + item.lost_before
        if not heard:
            print("ready", flush=True)
        heard.append(item.samples)
        if since_sound or np.abs(item.samples).max() > 0.05:
            since_sound += len(item.samples)
        if since_sound > wanted_s * SAMPLE_RATE:
            source.stop()
np.save(path, np.concatenate(heard))
print(lost)
"""


class Recording:
    """A program that records from the virtual card until it has heard all of the sound."""

    def __init__(self, card: Any, path: Path) -> None:
        self._path = path
        self._program: subprocess.Popen[str] = card.start_python(
            ["-c", RECORD, str(path), f"{len(sound()) / CARD_RATE + 0.2}"]
        )

    def wait_for(self, line: str) -> None:
        assert self._program.stdout is not None
        said = self._program.stdout.readline().strip()
        if said != line:
            self._program.kill()
            pytest.fail(f"expected {line!r}, got {said!r}: {self._program.communicate()}")

    def finish(self) -> tuple[np.ndarray, int]:
        """Return the samples heard and how many were lost; standard error must be empty."""
        try:
            out, chatter = self._program.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            self._program.kill()
            pytest.fail(f"the sound was not heard: {self._program.communicate()}")
        assert (self._program.returncode, chatter) == (0, "")
        heard: np.ndarray = np.load(self._path)
        return heard, int(out)


def sound() -> np.ndarray:
    """A rising tone and noise bursts, a second each, at the rate of the card."""
    moments = np.arange(CARD_RATE) / CARD_RATE
    noise = np.random.default_rng(0).normal(0, 0.1, CARD_RATE) * (moments % 0.2 < 0.1)
    lead = np.zeros(CARD_RATE // 5)
    rising: np.ndarray = 0.3 * chirp(moments, 100, 1, 6000)
    return np.concatenate([lead, rising, noise]).astype(np.float32)


def best_correlation(heard: np.ndarray) -> float:
    """Return the correlation of :func:`sound` with what was heard, where they fit best.

    They are laid on each other to an eighth of a 16 kHz sample: half a sample would
    already turn the phase of 6 kHz by 67 degrees.
    """
    played = soxr.resample(sound(), CARD_RATE, FINE_RATE)
    fine = soxr.resample(heard, SAMPLE_RATE, FINE_RATE)
    at = int(np.argmax(correlate(fine, played, "valid")))
    return float(np.corrcoef(fine[at : at + len(played)], played)[0, 1])


def test_what_is_played_is_what_the_microphone_hears(
    virtual_sound_card: Any, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "sound.wav", sound(), CARD_RATE)
    recording = Recording(virtual_sound_card, tmp_path / "heard.npy")
    recording.wait_for("ready")
    virtual_sound_card.play(tmp_path / "sound.wav")
    heard, lost = recording.finish()
    assert best_correlation(heard) > 0.9
    assert lost == 0


def test_a_card_that_goes_away_and_comes_back_is_heard_again(
    virtual_sound_card: Any, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "sound.wav", sound(), CARD_RATE)
    recording = Recording(virtual_sound_card, tmp_path / "heard.npy")
    recording.wait_for("ready")
    virtual_sound_card.stop_server()
    recording.wait_for("device_lost")
    virtual_sound_card.start_server()
    recording.wait_for("device_back")
    virtual_sound_card.play(tmp_path / "sound.wav")
    heard, lost = recording.finish()
    assert best_correlation(heard) > 0.9
    assert lost > 0


def test_the_device_list_shows_the_card(virtual_sound_card: Any) -> None:
    program = virtual_sound_card.start_python(["run_live.py", "--list-devices"])
    listed, chatter = program.communicate(timeout=60)
    [default] = [line for line in listed.splitlines() if "*" in line and "kHz" in line]
    assert "default" in default and "44.1, 48, 96 kHz" in default
    assert chatter == ""
