"""Reports in Markdown, and the tables that the terminal shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from model.evaluation.assessment import Reading
from model.evaluation.confidence import LEVEL, RESAMPLES, Interval
from model.evaluation.rates import Pair, align_words
from model.evaluation.report import OVERALL, UNNAMED, Figures, Report, confusion_record
from model.wording import counted

COLUMNS = (
    *("corpus", "recordings", "words", "WER %", f"{100 * LEVEL:.0f} %"),
    *("CER %", "sub", "del", "ins", "cosine", "speakers"),
)

NARROW = (0, 1, *range(3, 9))
"""Places of the columns for a terminal of 80 characters."""

NOISE_COLUMNS = ("SNR", *COLUMNS[1:])

MANY_SPEAKERS = 20
"""From more speakers on, only those with the highest error rates have a row."""

SHOWN_CONFUSIONS = 20
SHOWN_WORST = 20

LINE_WIDTH = 96
"""Characters in a line of an alignment."""

SPACE_SIGN = "␣"
"""Stands for the space between words."""

Table = list[list[str]]


def corpus_table(report: Report) -> Table:
    """Return a row of text for each corpus and one for all, under ``COLUMNS``."""
    return _group_table({**report.corpora, OVERALL: report.overall})


def noise_table(report: Report) -> Table:
    """Return a row for the recordings as they are and for each level, under ``NOISE_COLUMNS``."""
    levels = {level_name(level): found for level, found in report.noisy.items()}
    return _group_table({"no noise": report.overall, **levels})


def narrow(cells: Sequence[str]) -> list[str]:
    """Return those cells of a row that fit a terminal."""
    return [cells[place] for place in NARROW]


def level_name(level: float) -> str:
    """Return a signal-to-noise ratio with its unit."""
    return f"{level:g} dB"


def full_report(report: Report, pictures: Sequence[str] = ()) -> str:
    """Return everything that people may want to read, in Markdown.

    Args:
        report: The figures.
        pictures: Names of PNG files beside the report.
    """
    lines = [f"# Evaluation of {report.assessment.model}", "", *_summary(report, "##", listed=True)]
    for table in (_words, _characters, _worst):
        lines += table(report)
    lines += ["## Speed", "", _speed(report), ""]
    for name in pictures:
        lines += [f"![{name.removesuffix('.png').replace('_', ' ')}]({name})", ""]
    return "\n".join(lines)


def card_report(report: Report) -> str:
    """Return the tables for a model card, in Markdown: corpora, speakers, accents, noise."""
    return "\n".join(_summary(report, "###", listed=False))


def aligned_lines(pairs: Sequence[Pair], width: int = LINE_WIDTH) -> list[str]:
    """Return reference and hypothesis one under the other, wrapped between words.

    Words that differ are in capitals; asterisks stand where one side has no word.
    """
    lines: list[str] = []
    wanted_line = read_line = ""
    for wanted, read in pairs:
        size = max(len(wanted), len(read))
        if wanted_line and len(wanted_line) + 1 + size > width:
            lines += [*_pair_of_lines(wanted_line, read_line), ""]
            wanted_line = read_line = ""
        differ = wanted != read
        wanted_line += f" {_cell(wanted, size, differ)}"
        read_line += f" {_cell(read, size, differ)}"
    return [*lines, *_pair_of_lines(wanted_line, read_line)]


def _summary(report: Report, mark: str, listed: bool) -> list[str]:
    """Return the tables of error rates.

    Args:
        report: The figures.
        mark: Of the headings.
        listed: Whether to show single speakers where they are many, and lengths.
    """
    assessment = report.assessment
    lines = [
        f"{assessment.decoder.capitalize()} decoding of whole recordings, by `{report.command}`:",
        "",
        *_markdown(COLUMNS, corpus_table(report)),
        *_remarks(report),
        "",
    ]
    if report.speakers:
        lines += [f"{mark} By speaker", "", *_speakers(report.speakers, listed)]
    if report.accents:
        lines += [f"{mark} By accent", "", *_groups("accent", report.accents)]
    if listed:
        lines += [f"{mark} By length", "", *_groups("length", report.lengths)]
    if report.noisy:
        lines += [f"{mark} With noise", "", *_noise(report)]
    return lines


def _groups(what: str, groups: Mapping[str, Figures]) -> list[str]:
    return _markdown((what, *COLUMNS[1:]), _group_table(groups))


def _noise(report: Report) -> list[str]:
    what = report.assessment.noise
    return [
        f"{what[:1].upper()}{what[1:]} added; SNR: the ratio of the speech, without its pauses, "
        "to the noise.",
        "",
        *_markdown(NOISE_COLUMNS, noise_table(report)),
    ]


def _remarks(report: Report) -> list[str]:
    assessment = report.assessment
    lines = [
        f"WER and CER: errors for each word and character of the references. "
        f"{100 * LEVEL:.0f} %: the interval that holds so many of {RESAMPLES} bootstrap samples "
        "of the WER, of speakers where there are several, else of recordings (Bisani and Ney, "
        "2004); with few speakers it is rough. "
        "Cosine: between the counts of words of reference and hypothesis, mean of the "
        f"recordings; {report.overall.cosine_whole:.3f} when all of them are one text."
    ]
    if assessment.done < assessment.planned:
        lines.append(
            f"\n**Incomplete: {assessment.done} of {assessment.planned} readings.**"
            + "".join(f"\n- left out: {problem}" for problem in assessment.problems)
        )
    return lines


def _speakers(speakers: Mapping[str, Figures], listed: bool) -> list[str]:
    """Return the spread over many speakers, and a table of few or of the worst."""
    columns = ("speaker", *COLUMNS[1:-1])
    if len(speakers) <= MANY_SPEAKERS:
        return _markdown(columns, _one_speaker_each(speakers))
    lines = _spread(speakers)
    if listed:
        worst = sorted(speakers, key=lambda name: (-speakers[name].rates.wer, name))
        shown = {name: speakers[name] for name in worst[:MANY_SPEAKERS]}
        lines += [f"The {len(shown)} with the highest error rates:", ""]
        lines += _markdown(columns, _one_speaker_each(shown))
    return lines


def _one_speaker_each(speakers: Mapping[str, Figures]) -> Table:
    return [row[:-1] for row in _group_table(speakers)]


def _spread(speakers: Mapping[str, Figures]) -> list[str]:
    rates = [found.rates.wer for found in speakers.values()]
    quarters = [f"{100 * rate:.2f}" for rate in np.percentile(rates, (0, 25, 50, 75, 100))]
    names = ("speakers", "lowest WER %", "first quartile", "median", "third quartile", "highest")
    return _markdown(names, [[str(len(rates)), *quarters]])


def _words(report: Report) -> list[str]:
    return ["## Confused words", "", *_confusion_tables(report.words)]


def _characters(report: Report) -> list[str]:
    return ["## Confused characters", "", *_confusion_tables(report.characters)]


def _confusion_tables(counts: Counter[Pair]) -> list[str]:
    """Return the most frequent errors of each kind side by side."""
    found = confusion_record(counts)
    rows = max(map(len, found.values()))
    columns = ("substituted", "times", "left out", "times", "added", "times")
    table = [
        [cell for kind in found.values() for cell in _confusion_cells(kind[row : row + 1])]
        for row in range(min(rows, SHOWN_CONFUSIONS))
    ]
    return _markdown(columns, table, numbers=(1, 3, 5)) if table else ["None.", ""]


def _confusion_cells(found: Sequence[Sequence[str | int]]) -> Iterator[str]:
    for *tokens, count in found:
        yield " → ".join(SPACE_SIGN if token == " " else str(token) for token in tokens)
        yield str(count)
    if not found:
        yield from ("", "")


def _worst(report: Report) -> list[str]:
    lines = ["## Worst recordings", ""]
    for reading in islice(report.worst, SHOWN_WORST):
        lines += [_title(reading), "", "```text"]
        lines += [*aligned_lines(align_words(reading.row.text, reading.text)), "```", ""]
    return lines if report.worst else [*lines, "None has an error.", ""]


def _title(reading: Reading) -> str:
    rates = reading.rates
    return (
        f"`{reading.row.audio.name}` ({reading.row.corpus or UNNAMED}, {reading.audio_s:.1f} s): "
        f"{counted(rates.word_errors, 'error')}, {counted(rates.words, 'word')}, "
        f"WER {100 * rates.wer:.0f} %"
    )


def _speed(report: Report) -> str:
    speed = report.speed
    where = counted(speed.processors, "processor")
    return (
        f"Real-time factor {speed.real_time_factor:.4f} on {where}: "
        f"{speed.computing_s:.1f} s from samples to text for {speed.audio_s:.1f} s of audio."
    )


def _group_table(groups: Mapping[str, Figures]) -> Table:
    return [_cells(name, found) for name, found in groups.items()]


def _cells(name: str, found: Figures) -> list[str]:
    rates, interval = found.rates, found.interval
    return [
        name or UNNAMED,
        str(found.recordings),
        str(rates.words),
        f"{100 * rates.wer:.2f}",
        _ends(interval) if interval else "",
        f"{100 * rates.cer:.2f}",
        str(rates.substitutions),
        str(rates.deletions),
        str(rates.insertions),
        f"{found.cosine:.3f}",
        str(found.speakers or ""),
    ]


def _ends(interval: Interval) -> str:
    digits = 0 if interval.high >= 1 else 1
    return f"{100 * interval.low:.{digits}f}-{100 * interval.high:.{digits}f}"


def _markdown(
    columns: Sequence[str], table: Table, numbers: Sequence[int] | None = None
) -> list[str]:
    """Return a table and an empty line; all columns but the first hold numbers by default."""
    numbers = range(1, len(columns)) if numbers is None else numbers
    rule = ["---:" if index in numbers else "---" for index in range(len(columns))]
    rows = [[cell.replace("|", "\\|") for cell in row] for row in table]
    return [*(f"| {' | '.join(row)} |" for row in (columns, rule, *rows)), ""]


def _pair_of_lines(wanted: str, read: str) -> list[str]:
    return [f"ref{wanted.rstrip()}", f"hyp{read.rstrip()}"]


def _cell(word: str, size: int, differs: bool) -> str:
    return (word.upper() if differs else word).ljust(size) if word else "*" * size
