"""What ``python -m lm.tune`` does."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from lm.bundle import is_bundle
from lm.search import SearchSettings
from lm.tuned import TUNED_FILE, TunedDecoder, write_tuned
from lm.tuning.final import FinalReader, FinalReading
from lm.tuning.inputs import Inputs, Source, load_inputs
from lm.tuning.parts import SLICES, cut, slices
from lm.tuning.pool import Pool
from lm.tuning.results import COLUMNS, Found, Results
from lm.tuning.search import SettingsSearch, TuningPlan
from lm.tuning.trials import Reader, TrialLog, Trials
from model.backend import backend_name
from model.commands.terminal import Terminal
from model.errors import CaptionerError, UsageError
from model.files import check_folder
from model.parts import require_libraries
from model.settings import RangeError

TRIALS_FILE = "tuning.csv"


@dataclass(frozen=True)
class TuneOptions:
    """What to tune on, how, and where the results go.

    Attributes:
        source: The inputs.
        output: Folder for the settings, the trials and the pictures.
        jobs: Processes.
        beam_width: Keep this width; the smallest one that does is found when None.
        tolerance: By which share of the widest beam's errors a narrower one may have more.
        keep_bundle: Whether to leave the language model's folder as it is.
        anew: Whether to forget the trials of earlier runs.
        plan: What to try.
    """

    source: Source
    output: Path
    jobs: int = 1
    beam_width: int | None = None
    tolerance: float = TuningPlan.tolerance
    keep_bundle: bool = False
    anew: bool = False
    plan: TuningPlan = field(default_factory=TuningPlan)

    def search_plan(self) -> TuningPlan:
        """Return what to try, with the options' own tolerance and beam width."""
        plan = replace(self.plan, tolerance=self.tolerance)
        return plan if self.beam_width is None else replace(plan, widths=())

    def start(self) -> SearchSettings:
        """Return the settings to start from.

        Raises:
            UsageError: If the beam width is out of its range.
        """
        try:
            return SearchSettings(self.plan.width if self.beam_width is None else self.beam_width)
        except RangeError as error:
            raise UsageError(f"--{str(error).replace('_', '-')}") from error

    def targets(self) -> list[Path]:
        """Return the files to write the settings into."""
        folders = [self.output]
        if is_bundle(self.source.language_model) and not self.keep_bundle:
            folders.append(self.source.language_model)
        return [folder / TUNED_FILE for folder in folders]


def tune(options: TuneOptions, terminal: Terminal) -> TunedDecoder:
    """Find settings and a calibration, write them with their evidence, and show it.

    What was computed before a stop is kept, and the same command goes on from there.

    Raises:
        CaptionerError: If an input cannot be used, a file cannot be written, or a process
            was ended from outside.
    """
    start = options.start()
    for target in options.targets():
        check_folder(target.parent)
    backend_name()
    inputs = load_inputs(options.source, terminal)
    require_libraries("matplotlib")
    try:
        found = _search(options, start, inputs, terminal)
        results = Results(inputs, found, _read(options, inputs, found, terminal))
    except BrokenProcessPool as error:
        raise CaptionerError(
            "a process was ended from outside, perhaps for want of memory; the same command "
            "goes on where this one stopped, with fewer processes by --jobs"
        ) from error
    return _publish(results, options, terminal)


def _search(
    options: TuneOptions, start: SearchSettings, inputs: Inputs, terminal: Terminal
) -> Found:
    path = options.output / TRIALS_FILE
    if options.anew:
        path.unlink(missing_ok=True)
    log = TrialLog(path, inputs.data)
    reader = Reader(inputs.make_decoder, cut(inputs.chosen))
    with (
        terminal.counting("trials") as progress,
        Trials(reader, log, options.jobs, progress) as trials,
    ):
        search = SettingsSearch(trials, options.search_plan())
        tuned = search.weights(start)
        terminal.say(f"fewest errors: {tuned}")
        return Found(
            tuned=tuned,
            whole=search.whole(tuned),
            tried=search.tried,
            narrowing=search.narrow(tuned),
            held_out=search.held_out(),
        )


def _read(
    options: TuneOptions, inputs: Inputs, found: Found, terminal: Terminal
) -> list[FinalReading]:
    """Return the readings of all recordings with the settings chosen."""
    reader = FinalReader(
        inputs.make_decoder,
        inputs.acoustics.alphabet,
        found.narrowing.settings,
        cut(inputs.scored),
    )
    parts = slices(SLICES)
    readings = {}
    with (
        terminal.counting("final reading", len(parts)) as progress,
        Pool(reader, options.jobs) as pool,
    ):
        for part, read in pool.results(parts):
            readings[part] = read
            progress(len(readings))
    return [reading for part in parts for reading in readings[part]]


def _publish(results: Results, options: TuneOptions, terminal: Terminal) -> TunedDecoder:
    decoder = results.tuned_decoder(date.today())
    for target in options.targets():
        write_tuned(decoder, target)
    pictures = results.draw(options.output, options.tolerance)
    written = [*options.targets(), *(options.output / name for name in pictures)]
    terminal.say(f"wrote {', '.join(map(str, written))}")
    for line in results.summary():
        terminal.say(line)
    terminal.show_table("word error rates", COLUMNS, results.table())
    return decoder
