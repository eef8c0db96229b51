"""What the sounds without a voice are, and that nothing is invented in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.silence import Outcome, measure, parser, run, table_row, voiced_share
from benchmarks.sounds import SOUNDS, Sound, SoundSource
from lm.decoder import GreedyDecoder
from model.acoustic import AcousticModel
from model.errors import UsageError
from streamer.app import load_model
from streamer.audio import SAMPLE_RATE
from streamer.decoders import Decoders
from streamer.settings import LiveSettings

ROOT = Path(__file__).parents[2]
WITHOUT_MELODY = [
    sound for sound in SOUNDS if sound.name not in ("melody", "chords", "keyboard clatter")
]


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    return load_model(ROOT / LiveSettings().model)


@pytest.mark.parametrize("sound", SOUNDS, ids=lambda sound: f"{sound.name} {sound.level_db:g}")
def test_sounds_have_their_level_and_are_the_same_each_time(sound: Sound) -> None:
    samples = np.concatenate(list(sound.pieces(21.0)))
    assert samples.dtype == np.float32
    assert len(samples) == 21 * SAMPLE_RATE
    np.testing.assert_array_equal(samples, np.concatenate(list(sound.pieces(21.0))))
    power = np.mean(samples.astype(np.float64) ** 2)
    assert power == pytest.approx(10 ** (sound.level_db / 10), rel=0.1)


def test_source_gives_all_of_a_sound_without_a_gap() -> None:
    position = 0
    with SoundSource(SOUNDS[1], 12.3) as source:
        for block in source:
            assert (block.start, block.lost_before) == (position, 0)
            position = block.end
    assert position == round(12.3 * SAMPLE_RATE)


@pytest.mark.parametrize(
    "sound", WITHOUT_MELODY, ids=lambda sound: f"{sound.name} {sound.level_db:g}"
)
def test_no_word_is_invented(sound: Sound, model: AcousticModel) -> None:
    greedy = GreedyDecoder(model.bundle.alphabet)
    outcome = measure(sound, 6.0, LiveSettings(), model, Decoders(greedy, greedy))
    assert outcome.words == 0
    assert outcome.partials == 0
    assert outcome.utterances <= 1
    assert outcome.voiced <= outcome.voiced_webrtc


def test_a_sound_that_there_is_not_is_refused() -> None:
    options = parser().parse_args(["--only", "birds"])
    with pytest.raises(UsageError, match=r"--only: must be in one of digital silence, .*got birds"):
        run(options)


class EveryOther:
    """Calls every other frame speech; frames do not divide the pieces of a sound."""

    frame = 480

    def __init__(self) -> None:
        self.frames = 0

    def is_speech(self, frame: np.ndarray) -> bool:
        assert len(frame) == self.frame
        self.frames += 1
        return self.frames % 2 == 0

    def reset(self) -> None: ...


def test_every_frame_of_a_sound_is_heard_across_its_pieces() -> None:
    detector = EveryOther()
    assert voiced_share(detector, SOUNDS[0], 21.0) == 0.5
    assert detector.frames == 700


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome("hum", -30.0, 60.0, 1.0, 0.0173, 1, 0.02, 3, 2, ("oh no",))
    assert table_row(outcome) == "| hum | -30 | 100.0 | 1.7 | 1 | 2.0 | 3 | 2 |"
    options = parser().parse_args(["--minutes", "0.05", "--only", "digital"])
    options.model = ROOT / LiveSettings().model
    [silent] = run(options)
    assert (silent.sound, silent.level_db, silent.utterances) == ("digital silence", None, 0)
    assert "| digital silence |  | 0.0 | 0.0 | 0 | 0.0 | 0 | 0 |" in capsys.readouterr().out
