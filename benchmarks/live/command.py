"""What ``benchmarks/replay.py`` does."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.live.figures import errors, figures_of, joined_errors
from benchmarks.live.judging import Judged, Offline, judge
from benchmarks.live.options import BenchOptions, check_output, conditions, json_bytes
from benchmarks.live.playing import Pace, Play, Player
from benchmarks.live.program import measure_program
from benchmarks.live.tables import comparison, report, run_names
from benchmarks.live.tapes import Tape, pink_noise, session_tape, single_tape
from model.acoustic import AcousticModel
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance
from model.errors import UsageError
from model.files import write_output
from streamer.app import load_model
from streamer.events import FinalTranscript, StreamStarted
from streamer.writers import new_writer

SCHEMA = 1
"""Of the JSON; raised when a key changes its meaning or is taken away."""


@dataclass(frozen=True)
class ReplayOptions(BenchOptions):
    """The command line; see ``replay.py --help``."""

    pace: Pace = "max"
    noise: float | None = None
    session: bool = False
    starts: int = 5

    def program(self, recording: Path) -> list[str]:
        """Return the command line of ``run_live.py`` that captions a recording the same way."""
        words = ["--wav", str(recording), "--speed", "max", "--format", "jsonl"]
        for name, value in (("model", self.model), ("engine", self.engine)):
            words += [f"--{name}", str(value)] if value else []
        words += ["--config", str(self.config)] if self.config else []
        return words + [word for one in self.overrides for word in ("--set", one)]


def replay(options: ReplayOptions, terminal: Terminal) -> dict[str, Any]:
    """Measure the live path on recordings, write the figures, and return them.

    Raises:
        CaptionerError: If an input cannot be used, a file cannot be written, or a stage
            failed.
    """
    options.check_output()
    settings, rows = options.settings(), options.rows()
    record: dict[str, Any] = {"schema": SCHEMA}
    acoustic = load_model(settings.model, settings.engine)
    program = _program(options, rows, terminal)
    record["conditions"] = conditions(options, settings, acoustic, rows)
    record["conditions"] |= {"pace": options.pace, "noise_db": options.noise}
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        bench = _Bench(options, Player(settings, acoustic, options.pace), acoustic, Path(folder))
        record |= bench.run(rows, terminal)
    record |= {"program": program} if program else {}
    terminal.out.print(report(record), markup=False, highlight=False, soft_wrap=True)
    if options.json is not None:
        _write(record, bench.log.getvalue(), options.json, terminal)
    return record


def compare(paths: Sequence[Path], output: Path | None, terminal: Terminal) -> None:
    """Show runs side by side; write table and picture beside ``output`` if it is given.

    Raises:
        UsageError: If a file holds no figures of a run, or another cannot be written.
    """
    check_output(output)
    if output is not None and output.resolve() in [path.resolve() for path in paths]:
        raise UsageError(f"{output}: is also to be read; give another place for the result")
    records = dict(zip(run_names(paths), map(_read, paths), strict=True))
    shown = comparison(records)
    terminal.out.print(shown, markup=False, highlight=False, soft_wrap=True)
    if output is not None:
        from benchmarks.live.plots import draw_comparison

        write_output(output, json_bytes(records))
        write_output(output.with_suffix(".md"), shown.encode())
        draw_comparison(records, output.with_suffix(".png"))


class _Bench:
    """Plays tapes and judges them; keeps the log of all events."""

    def __init__(
        self, options: ReplayOptions, player: Player, acoustic: AcousticModel, folder: Path
    ) -> None:
        self._noise = None if options.noise is None else pink_noise(options.noise)
        self._session = options.session
        self._player = player
        self._acoustic = acoustic
        self._folder = folder
        self._offline = Offline(acoustic, player.decoders.final)
        self._writer_to = io.StringIO()
        self._writer = new_writer(self._writer_to, "jsonl")

    @property
    def log(self) -> io.StringIO:
        """Every event of every tape as JSON Lines."""
        return self._writer_to

    def run(self, rows: Sequence[Utterance], terminal: Terminal) -> dict[str, Any]:
        """Return the figures of each recording alone and, if wanted, of the session."""
        with terminal.counting("recordings", len(rows)) as progress:
            alone, offline = self._alone(rows, progress)
        found = {"recordings": _by_corpus(alone)}
        if self._session:
            terminal.say("all as one session ...")
            judged = self._judged(session_tape(rows, self._noise, self._folder), offline)
            found["session"] = _by_corpus(judged) | {"joined": joined_errors(judged.texts)}
        return found

    def _alone(
        self, rows: Sequence[Utterance], progress: Callable[[int], None]
    ) -> tuple[Judged, list[str]]:
        every, texts = Judged(), []
        for done, row in enumerate(rows, 1):
            tape = single_tape(row, self._noise, self._folder)
            texts.append(self._offline.text(tape.samples))
            every.add(self._judged(tape, texts[-1:]))
            progress(done)
        return every, texts

    def _judged(self, tape: Tape, offline: Sequence[str]) -> Judged:
        play = self._player.play(tape)
        self._keep(tape, play)
        ends = [
            self._offline.word_ends(tape.samples, told.event)
            for told in play.told
            if isinstance(told.event, FinalTranscript)
        ]
        return judge(tape, play, ends, offline)

    def _keep(self, tape: Tape, play: Play) -> None:
        """Write what was told to the log, by stream time where that is the same each time."""
        self._writer.emit(StreamStarted(tape.name, self._acoustic.bundle.name), 0.0)
        for told in play.told:
            self._writer.emit(told.event, told.stream_s)


def _by_corpus(judged: Judged) -> dict[str, Any]:
    """Return all figures, and the errors of each corpus."""
    corpora = dict.fromkeys(text.corpus for text in judged.texts)
    return {
        "all": figures_of(judged),
        "corpora": {
            corpus: errors([text for text in judged.texts if text.corpus == corpus])
            for corpus in corpora
        },
    }


def _program(
    options: ReplayOptions, rows: Sequence[Utterance], terminal: Terminal
) -> dict[str, Any] | None:
    """Return what starting the program takes, None if it is not wanted."""
    if not options.starts:
        return None
    terminal.say(f"starting run_live.py {options.starts} times ...")
    return measure_program(options.program(rows[0].audio), options.starts)


def _read(path: Path) -> dict[str, Any]:
    """Read the figures of a run.

    Raises:
        UsageError: If there are none.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        schema = record["schema"]
        comparison({path.stem: record})
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, LookupError, TypeError, AttributeError):
        reason = "it holds no figures of replay.py, or those of another version"
    else:
        if schema == SCHEMA:
            return dict(record)
        reason = f"its schema is {schema}, this program writes {SCHEMA}"
    raise UsageError(f"{path}: cannot be compared: {reason}; write it with replay.py --json")


def _write(record: dict[str, Any], log: str, path: Path, terminal: Terminal) -> None:
    from benchmarks.live.plots import draw_run

    table, picture = path.with_suffix(".md"), path.with_suffix(".png")
    events = path.with_suffix(".log.jsonl")
    write_output(path, json_bytes(record))
    write_output(table, report(record).encode())
    write_output(events, log.encode())
    draw_run(record, picture)
    terminal.say(f"wrote {path}, {table}, {events}, {picture}")
