"""Kill the captioner with SIGKILL at random moments, and look whether anything shown is lost.

    python benchmarks/kill.py --kills 200 --json benchmarks/results/kill.json

Each time the program captions recordings to standard output, to a file of each format and to
a recording; every second time without waiting for the pace of speech, and by turns with and
without ``--rotate``, where SIGHUP begins new parts meanwhile.  What standard output gave before
the kill was shown.  Afterwards

- every final that was shown, and every settled word of the utterance that went on, must stand
  in each file (in all parts of it together);
- every file must be whole: JSON Lines with an object in each line, SubRip and WebVTT with whole
  cues in order, text in whole words;
- the recording must be readable, and as long as what had been heard when the last event was
  shown, but for the last half second of FLAC.

The program ends with exit code 1 if one of these does not hold; the report then says where.
``--json FILE`` writes the figures, and beside it a Markdown report.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import soundfile

from benchmarks.live.arguments import parser_of
from benchmarks.live.options import check_output
from model.commands.arguments import count
from model.commands.terminal import Terminal
from model.errors import CaptionerError
from model.files import write_output

ROOT = Path(__file__).resolve().parent.parent
CLIPS = ("common_voice_en_17369372.opus", "669-129074-0011.opus")
"""Of the recordings of the tests; said again and again."""

TIMES = 6
FORMATS = ("jsonl", "txt", "srt", "vtt")
LONGEST_S = {"real": 8.0, "max": 3.0}
"""Longest time from the first event to the kill, seconds."""

FLAC_TAIL_S = 0.55
"""Audio that a FLAC file that was not closed may lack at its end, seconds."""

_TIME = r"(?:(\d+):)?(\d\d):(\d\d)[,.](\d{3})"
_TIMES = re.compile(rf"{_TIME} --> {_TIME}")


@dataclass(frozen=True)
class Trial:
    """How the program is run and killed.

    Attributes:
        speed: Pace of the replay.
        rotate: Whether files are cut into parts.
        recording: Ending of the recording.
        after_s: Time from its first event, or from the last of ``finals``, to the kill, seconds.
        hangups: Times within that at which SIGHUP is sent, seconds.
        finals: Finals that are waited for before; SIGHUP is sent after each if ``rotate``.
    """

    speed: str
    rotate: bool
    recording: str
    after_s: float
    hangups: tuple[float, ...] = ()
    finals: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a kill left.

    Attributes:
        finals: Finals that were shown.
        settled: Settled words of the utterance that went on, as shown.
        parts: Files of JSON Lines.
        lacking_s: What the recording lacks of the audio heard, seconds.
        ended: Whether the program had come to its end before.
        problems: What is lost or broken.
    """

    finals: int
    settled: int
    parts: int
    lacking_s: float
    ended: bool
    problems: tuple[str, ...] = ()


@dataclass
class Totals:
    """All kills together."""

    kills: int = 0
    rotating: int = 0
    ended: int = 0
    finals: int = 0
    unfinished: int = 0
    settled: int = 0
    parts: int = 0
    most_lacking_s: float = 0.0
    problems: list[str] = field(default_factory=list)

    def add(self, trial: Trial, outcome: Outcome) -> None:
        """Count a kill in."""
        self.kills += 1
        self.rotating += trial.rotate
        self.ended += outcome.ended
        self.finals += outcome.finals
        self.unfinished += outcome.settled > 0
        self.settled += outcome.settled
        self.parts += outcome.parts
        self.most_lacking_s = max(self.most_lacking_s, outcome.lacking_s)
        self.problems += [f"kill {self.kills} ({trial}): {text}" for text in outcome.problems]


def trials(kills: int, seed: int) -> Iterator[Trial]:
    """Yield the trials, the same for the same seed."""
    draw = random.Random(seed)
    for number in range(kills):
        speed = ("real", "max")[number % 2]
        rotate = number // 2 % 2 == 1
        after_s = draw.uniform(0, LONGEST_S[speed])
        hangups = sorted(draw.uniform(0, after_s) for _ in range(3)) if rotate else []
        recording = ("wav", "flac")[number // 4 % 2]
        finals = draw.randint(0, 4) if speed == "max" else 0
        yield Trial(speed, rotate, recording, after_s, tuple(hangups), finals)


def kill(trial: Trial, folder: Path) -> Outcome:
    """Run the program in a folder of its own, kill it, and look at what is left."""
    shown, ended = _shown(trial, folder)
    problems = [] if shown else ["the program gave nothing"]
    expected = _expected(shown)
    for form in FORMATS:
        try:
            words = _words(form, _parts(folder, form))
        except ValueError as error:
            problems.append(f".{form} is broken: {error}")
            continue
        if words[: len(expected)] != expected:
            problems.append(f".{form} lacks of {expected[-8:]}: it ends with {words[-8:]}")
    lacking_s = _lacking_s(shown, _parts(folder, trial.recording), problems)
    if lacking_s > (FLAC_TAIL_S if trial.recording == "flac" else 0.01):
        problems.append(f"the recording lacks {lacking_s:.2f} s")
    finals = [event for event in shown if event["type"] == "final"]
    said = sum(len(final["text"].split()) for final in finals)
    parts = len(_parts(folder, "jsonl"))
    return Outcome(len(finals), len(expected) - said, parts, lacking_s, ended, tuple(problems))


def _shown(trial: Trial, folder: Path) -> tuple[list[dict[str, Any]], bool]:
    """Run and kill the program; return its events, and whether it had ended by itself."""
    with subprocess.Popen(
        _command(trial, folder),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = list(_first_lines(process, process.stdout, trial))
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
        reader.start()
        waited = 0.0
        for at_s in trial.hangups:
            reader.join(at_s - waited)
            waited = at_s
            process.send_signal(signal.SIGHUP)
        reader.join(trial.after_s - waited)
        ended = not reader.is_alive()
        process.kill()
        reader.join()
    whole = [line for line in lines if line.endswith("\n")]
    return [json.loads(line) for line in whole], ended


def _first_lines(process: subprocess.Popen[str], output: IO[str], trial: Trial) -> Iterator[str]:
    """Yield what the program gives up to the last final that is to be waited for."""
    waited_for = trial.finals
    yield output.readline()
    while waited_for and (line := output.readline()):
        yield line
        if line.startswith('{"type": "final"'):
            waited_for -= 1
            if trial.rotate:
                process.send_signal(signal.SIGHUP)


def _command(trial: Trial, folder: Path) -> list[str]:
    clips = [ROOT / "tests/data/speech" / clip for clip in CLIPS] * TIMES
    options = [f"--wav={clip}" for clip in clips]
    options += [f"--output={folder / 'captions'}.{form}" for form in FORMATS]
    options += [f"--record={folder / 'audio'}.{trial.recording}", "--speed", trial.speed]
    options += ["--rotate", "day"] if trial.rotate else []
    # Otherwise a benchmark that itself outlives hangups would hand that on.
    heeding = ["env", "--default-signal=HUP"]
    return [*heeding, sys.executable, "run_live.py", "--format", "jsonl", *options]


def _parts(folder: Path, ending: str) -> list[Path]:
    """Return the files of an output in the order in which they were made."""

    def order(path: Path) -> tuple[str, int]:
        found = re.fullmatch(r"[a-z]+-?(\w*)-?(\d*)", path.stem)
        assert found is not None
        return found[1], int(found[2] or 1)

    return sorted(folder.glob(f"*.{ending}"), key=order)


def _expected(shown: Iterable[dict[str, Any]]) -> list[str]:
    """Return the words of all finals shown, and the settled ones of what went on."""
    words: list[str] = []
    settled: list[str] = []
    for event in shown:
        if event["type"] == "final":
            words += event["text"].split()
            settled = []
        elif event["type"] == "partial":
            settled = event["stable"].split()
    return words + settled


def _words(form: str, parts: Sequence[Path]) -> list[str]:
    """Return the words that the files of a format hold.

    Raises:
        ValueError: If one is not whole.
    """
    read = {"jsonl": _json_words, "txt": _plain_words}.get(form, _cue_words)
    return [word for path in parts for word in read(path.read_text(encoding="utf-8"))]


def _json_words(text: str) -> list[str]:
    if text and not text.endswith("\n"):
        raise ValueError(f"the last line is cut: {text[-40:]!r}")
    return _expected(json.loads(line) for line in text.splitlines())


def _plain_words(text: str) -> list[str]:
    return [word for line in text.splitlines() if line[:1] != "[" for word in line.split()]


def _cue_words(text: str) -> list[str]:
    """Return the words of subtitles, whose cues must be whole and in order."""
    blocks = [block for block in re.split(r"\n{2,}", text.strip("\n")) if block != "WEBVTT"]
    words: list[str] = []
    ends = [0]
    for number, block in enumerate(filter(None, blocks), start=1):
        first, times, *lines = block.split("\n")
        found = _TIMES.fullmatch(times)
        if first != str(number) or found is None or not lines:
            raise ValueError(f"no whole cue {number}: {block!r}")
        start, end = (_seconds(found.groups()[i : i + 4]) for i in (0, 4))
        ends += [start, end]
        words += " ".join(lines).split()
    if any(later < earlier for earlier, later in pairwise(ends)):
        raise ValueError("times go back")
    return words


def _seconds(parts: Sequence[str | None]) -> int:
    hours, minutes, seconds, thousandths = (int(part or 0) for part in parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths


def _lacking_s(
    shown: Iterable[dict[str, Any]], parts: Iterable[Path], problems: list[str]
) -> float:
    """Return how much of the audio that the last event tells of is not in the recording."""
    heard_s = max((event.get("audio_s", 0.0) for event in shown), default=0.0)
    kept_s = 0.0
    for path in parts:
        try:
            if path.stat().st_size:
                kept_s += soundfile.info(path).duration
        except soundfile.SoundFileError as error:
            # A file whose header had not been written holds nothing yet.
            if path.stat().st_size > 200:
                problems.append(f"{path.name}: {error}")
    return max(0.0, heard_s - kept_s)


def run(options: argparse.Namespace, terminal: Terminal) -> Totals:
    """Kill the program as often as the options say."""
    totals = Totals()
    planned = list(trials(options.kills, options.seed))
    with (
        terminal.counting("kills", options.kills) as progress,
        ThreadPoolExecutor(options.at_once) as executor,
    ):
        for trial, outcome in zip(planned, executor.map(_kill_once, planned), strict=True):
            totals.add(trial, outcome)
            progress(totals.kills)
    return totals


def _kill_once(trial: Trial) -> Outcome:
    with TemporaryDirectory(prefix="kill") as folder:
        return kill(trial, Path(folder))


def markdown(totals: Totals) -> str:
    """Return the report."""
    lossless = "nothing that was shown is lost, and every file is whole"
    verdict = "; ".join(totals.problems) or lossless
    return (
        f"# Killed {totals.kills} times\n\n"
        f"{totals.rotating} times with `--rotate`; {totals.ended} times the program had come to "
        "its end just before.\n\n"
        f"- Verdict: {verdict}.\n"
        f"- Shown before the kills: {totals.finals} finals, and {totals.settled} settled words of "
        f"{totals.unfinished} utterances that went on; each looked for in {len(FORMATS)} "
        "formats.\n"
        f"- Parts in which something was said: {totals.parts}.\n"
        f"- Recordings lack at most {totals.most_lacking_s:.2f} s of what had been heard.\n"
    )


def main() -> int:
    """Kill, print, and return the exit code."""
    options = parser().parse_args()
    terminal = Terminal()
    try:
        check_output(options.json)
        totals = run(options, terminal)
        report = markdown(totals)
        terminal.out.print(report, markup=False, highlight=False, soft_wrap=True)
        if options.json is not None:
            write_output(options.json, (json.dumps(asdict(totals), indent=1) + "\n").encode())
            write_output(options.json.with_suffix(".md"), report.encode())
    except CaptionerError as error:
        print(f"kill.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 1 if totals.problems else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--kills", type=count, default=200, help="how often (default: 200)")
    parser.add_argument(
        "--at-once", type=count, default=1, help="programs that run at once (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
