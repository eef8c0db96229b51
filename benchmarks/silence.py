"""Caption sounds without a voice in them, and count what is made of them.

    python benchmarks/silence.py --minutes 10 --json silence.json

Silence, noises, hum, tones, music of tones and the clatter of a keyboard are computed, the
same in every run, and go through the live path as fast as it takes them.  A row has:

- voiced: share of the time in which voice activity finds speech: WebRTC's detector alone,
  and what of it stands out of the noise that goes on;
- utterances: how many are opened, and for how much of the time the network listens;
- partials and words: texts that are shown while they last, and words of the finals.

Nothing should be invented: the last two should be 0.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.live.arguments import add_live_settings, parser_of
from benchmarks.live.options import check_output
from benchmarks.sounds import SOUNDS, Sound, SoundSource
from model.acoustic import AcousticModel
from model.commands.arguments import number
from model.errors import CaptionerError, UsageError
from model.files import write_output
from model.settings import load_settings
from streamer.app import build_stream, decoders_for, load_model
from streamer.decoders import Decoders
from streamer.detector import AboveNoiseDetector, SpeechDetector, WebRtcDetector
from streamer.events import Event, FinalTranscript, PartialTranscript
from streamer.runner import run_inline
from streamer.settings import LiveSettings, VadSettings


@dataclass(frozen=True)
class Outcome:
    """What was made of a sound.

    Attributes:
        sound: Its name.
        level_db: Its level, dB of full scale; None for silence.
        seconds: How long it lasted.
        voiced_webrtc: Share of the time in which WebRTC's detector alone finds speech.
        voiced: Share in which speech stands out of the noise as well.
        utterances: Utterances that were opened.
        listened: Share of the time within them.
        partials: Texts that were shown.
        words: Words in finals.
        texts: The finals that have some.
    """

    sound: str
    level_db: float | None
    seconds: float
    voiced_webrtc: float
    voiced: float
    utterances: int
    listened: float
    partials: int
    words: int
    texts: tuple[str, ...]


class Transcripts:
    """Keeps what was shown."""

    def __init__(self) -> None:
        self.finals: list[FinalTranscript] = []
        self.partials = 0

    def emit(self, event: Event, emitted_s: float) -> None:
        """Keep a final, count a partial."""
        if isinstance(event, FinalTranscript):
            self.finals.append(event)
        self.partials += isinstance(event, PartialTranscript)

    def close(self) -> None:
        """Nothing to finish."""


def voiced_share(detector: SpeechDetector, sound: Sound, seconds: float) -> float:
    """Return the share of a sound in which ``detector`` finds speech."""
    heard: list[bool] = []
    left = np.zeros(0, np.float32)
    for piece in sound.pieces(seconds):
        samples = np.concatenate([left, piece])
        whole = len(samples) // detector.frame * detector.frame
        heard += map(detector.is_speech, samples[:whole].reshape(-1, detector.frame))
        left = samples[whole:]
    return float(np.mean(heard))


def voice_detectors(settings: VadSettings) -> tuple[SpeechDetector, SpeechDetector]:
    """Return WebRTC's detector alone, and with what tells the noise."""
    alone, inner = (WebRtcDetector(settings.aggressiveness, settings.frame_ms) for _ in range(2))
    return alone, AboveNoiseDetector(inner, settings.margin_db)


def measure(
    sound: Sound,
    seconds: float,
    settings: LiveSettings,
    acoustic: AcousticModel,
    decoders: Decoders,
) -> Outcome:
    """Caption a sound with fresh parts; return what was made of it."""
    shown = Transcripts()
    with SoundSource(sound, seconds) as source:
        run_inline(source, build_stream(settings, acoustic, None, decoders), shown)
    alone, both = (
        voiced_share(detector, sound, seconds) for detector in voice_detectors(settings.vad)
    )
    texts = tuple(final.text for final in shown.finals if final.text)
    spoken_s = sum(final.end_s - final.start_s for final in shown.finals)
    return Outcome(
        sound=sound.name,
        level_db=sound.level_db if np.isfinite(sound.level_db) else None,
        seconds=seconds,
        voiced_webrtc=round(alone, 4),
        voiced=round(both, 4),
        utterances=len(shown.finals),
        listened=round(spoken_s / seconds, 4),
        partials=shown.partials,
        words=sum(len(text.split()) for text in texts),
        texts=texts,
    )


HEAD = """\
| Sound | Level, dB | Voiced, WebRTC alone, % | Voiced, % | Utterances | Listened, % | Partials \
| Words |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def table_row(outcome: Outcome) -> str:
    """Return a row of the table."""
    cells = (
        outcome.sound,
        "" if outcome.level_db is None else f"{outcome.level_db:.0f}",
        f"{100 * outcome.voiced_webrtc:.1f}",
        f"{100 * outcome.voiced:.1f}",
        str(outcome.utterances),
        f"{100 * outcome.listened:.1f}",
        str(outcome.partials),
        str(outcome.words),
    )
    return f"| {' | '.join(cells)} |"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    assert __doc__ is not None
    parser = parser_of(__doc__)
    parser.add_argument("--minutes", type=number(0.05, 600), default=10.0, help="of each sound")
    parser.add_argument("--only", help="sounds with this in their name")
    add_live_settings(parser)
    parser.add_argument("--json", type=Path, help="where the figures go, with the words' texts")
    return parser


def run(options: argparse.Namespace) -> Sequence[Outcome]:
    """Measure the sounds one after the other and print the table.

    Raises:
        CaptionerError: If a setting or a model cannot be used, or no sound is called so.
    """
    sounds = [sound for sound in SOUNDS if (options.only or "") in sound.name]
    if not sounds:
        names = ", ".join(dict.fromkeys(sound.name for sound in SOUNDS))
        raise UsageError(f"--only: must be in one of {names}; got {options.only}")
    settings = load_settings(LiveSettings, options.config, options.overrides)
    acoustic = load_model(options.model or settings.model, settings.engine)
    decoders = decoders_for(settings, acoustic)
    print(HEAD)
    outcomes = []
    for sound in sounds:
        outcomes.append(measure(sound, options.minutes * 60, settings, acoustic, decoders))
        print(table_row(outcomes[-1]), flush=True)
    return outcomes


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser().parse_args()
    try:
        check_output(options.json)
        outcomes = [asdict(outcome) for outcome in run(options)]
        if options.json is not None:
            write_output(options.json, (json.dumps(outcomes, indent=2) + "\n").encode())
    except CaptionerError as error:
        print(f"silence.py: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("silence.py: stopped; nothing was written", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
