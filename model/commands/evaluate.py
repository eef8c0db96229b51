"""What ``train.py evaluate`` does."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from model.acoustic import AcousticModel
from model.alphabet import Alphabet
from model.backend import backend_name
from model.bundle import CARD_FILE, save_report
from model.commands.common import on_first_signal, signals_held_back
from model.commands.terminal import Terminal
from model.corpora.manifest import read_manifests
from model.engines.engine import AUTO
from model.errors import UsageError
from model.evaluation.assessment import (
    GREEDY,
    Assessor,
    Noise,
    Read,
    check_recordings,
    first_of_each,
    unusable,
)
from model.evaluation.report import Report
from model.evaluation.report_files import check_output, write_report
from model.evaluation.report_text import (
    COLUMNS,
    NOISE_COLUMNS,
    Table,
    card_report,
    corpus_table,
    narrow,
    noise_table,
)
from model.files import check_folder
from model.variation.noises import Colour, coloured_noise, find_recordings, recorded_noise
from model.wording import counted


@dataclass(frozen=True)
class EvaluationOptions:
    """What to judge, by what, and where the figures go.

    Attributes:
        bundle: The model.
        manifests: What to recognise.
        output: A ``.json`` or ``.md`` file, or a folder for everything; None for neither.
        limit: Use the first recordings of each corpus; all when 0.
        noise: Signal-to-noise ratios in dB at which to recognise all of it once more.
        noise_kind: One of :data:`model.variation.noises.COLOURS`.
        noise_folder: Recordings to add in place of computed noise.
        card: Whether to write the tables into the bundle and its model card.
        language_model: What the outputs are read with; greedily when None.
        engine: What runs the network; see :func:`model.engines.engine.load_engine`.
    """

    bundle: Path
    manifests: Sequence[Path]
    output: Path | None = None
    limit: int = 0
    noise: Sequence[float] = ()
    noise_kind: Colour = "pink"
    noise_folder: Path | None = None
    card: bool = False
    language_model: Path | None = None
    engine: str = AUTO

    def command(self) -> str:
        """Return the command line, without where the figures go."""
        return shlex.join(map(str, self._words()))

    def _words(self) -> Iterator[object]:
        yield from ("train.py", "evaluate", "--bundle", self.bundle, "--manifest", *self.manifests)
        if self.language_model:
            yield from ("--language-model", self.language_model)
        if self.engine != AUTO:
            yield from ("--engine", self.engine)
        if self.limit:
            yield from ("--limit", self.limit)
        if self.noise:
            yield from ("--noise", *(f"{level:g}" for level in self.noise))
            if self.noise_folder:
                yield from ("--noise-folder", self.noise_folder)
            else:
                yield from ("--noise-kind", self.noise_kind)


def evaluate(
    options: EvaluationOptions,
    terminal: Terminal,
    decoding: Callable[[Path, Alphabet], Read] | None = None,
) -> bool:
    """Show how well a model reads whole recordings; return whether all were read.

    The first signal ends it after the recording at hand; what was read is reported.

    Args:
        options: What to judge, by what, and where the figures go.
        terminal: Where it shows.
        decoding: From ``options.language_model`` and the bundle's alphabet to what reads
            log-probabilities with them; needed where there is a language model.

    Raises:
        CaptionerError: If an input cannot be used, or a file cannot be written.
    """
    if options.output is not None:
        check_output(options.output)
    backend_name()
    rows = read_manifests(options.manifests)
    rows = first_of_each(rows, options.limit) if options.limit else rows
    check_recordings(row.audio for row in rows)
    with signals_held_back():
        model = AcousticModel.load(options.bundle, options.engine)
    if options.card:
        check_folder(options.bundle)
    read, decoder = None, GREEDY
    if options.language_model and decoding:
        read = decoding(options.language_model, model.bundle.alphabet)
        decoder = f"beam search with {options.language_model}"
    noise = noise_of(options, model.bundle.features.sample_rate)
    stopped = Event()

    def stop() -> None:
        stopped.set()
        terminal.say("stopping after this recording; once more to stop at once")

    readings = len(rows) * (1 + len(noise.levels if noise else ()))
    with terminal.counting("recognising", readings) as progress, on_first_signal(stop):
        assessor = Assessor(model, read, decoder, stopped.is_set)
        result = assessor.assess(rows, noise, progress)
    if result.readings:
        _publish(Report(result, options.command()), options, model, terminal)
    if result.problems:
        raise unusable(result.problems)
    return result.done == result.planned


def noise_of(options: EvaluationOptions, sample_rate: int) -> Noise | None:
    """Return the noise to add, or None.

    Raises:
        UsageError: If there are recordings of noise to add, but no level or no recording.
        AudioFileError: If some of them are not audio.
    """
    folder, levels = options.noise_folder, tuple(dict.fromkeys(options.noise))
    if not levels:
        if folder:
            raise UsageError("--noise-folder: needs levels too; give --noise 20 10 5 0")
        return None
    if folder is None:
        kind = options.noise_kind
        return Noise(
            f"{kind} noise",
            levels,
            lambda length, random: coloured_noise(kind, length, sample_rate, random),
        )
    paths = [path for _, path in find_recordings([str(folder)], "--noise-folder")]
    check_recordings(paths)
    return Noise(
        f"noise of {counted(len(paths), 'recording')} in {folder}",
        levels,
        lambda length, random: recorded_noise(paths, length, sample_rate, random),
    )


def _publish(
    report: Report, options: EvaluationOptions, model: AcousticModel, terminal: Terminal
) -> None:
    """Write the figures and show them; where the one cannot be done, the other is."""
    try:
        _write(report, options, model, terminal)
    finally:
        name, assessment = report.assessment.model, report.assessment
        title = f"{name}, {assessment.decoder} decoding"
        _show(terminal, title, COLUMNS, corpus_table(report))
        if report.noisy:
            _show(terminal, f"{name}, {assessment.noise}", NOISE_COLUMNS, noise_table(report))


def _write(
    report: Report, options: EvaluationOptions, model: AcousticModel, terminal: Terminal
) -> None:
    assessment = report.assessment
    if assessment.done < assessment.planned:
        terminal.say(f"{assessment.done} of {assessment.planned} readings were done")
    if options.output is not None:
        files = write_report(report, options.output)
        terminal.say(f"wrote {', '.join(map(str, files))}")
    if options.card and assessment.done == assessment.planned:
        save_report(model.bundle, options.bundle, card_report(report))
        terminal.say(f"{options.bundle / CARD_FILE}: holds these figures now")
    elif options.card:
        terminal.say(f"{options.bundle / CARD_FILE}: left as it was")


def _show(terminal: Terminal, title: str, columns: Sequence[str], table: Table) -> None:
    terminal.show_table(title, narrow(columns), [narrow(row) for row in table])
