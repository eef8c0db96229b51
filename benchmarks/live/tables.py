"""Figures of runs as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.live.clocks import STAGES

NONE = "-"

EXPLAINED = """\
Difference: relative, of live to offline word errors, with its 95 % bootstrap interval. \
Word latency: from the end of a word to its standing in a shown text for good. Flicker (UPWR): \
words changed or withdrawn, for each word of the finals. Real-time factor: processor time for \
each second of audio, of one core. Samples can be lost at the pace of speech only.\
"""


def report(record: Mapping[str, Any]) -> str:
    """Return the figures of a run as Markdown."""
    parts = {"Each recording alone": record["recordings"]}
    if "session" in record:
        parts["All as one session"] = record["session"]
    blocks = [f"# Live captions of {record['conditions']['recordings']} recordings", EXPLAINED]
    for title, figures in parts.items():
        blocks += [f"## {title}", _error_table(figures), _measure_table(figures["all"])]
        blocks += [_stage_table(figures["all"])]
    if "program" in record:
        blocks += ["## The program", _program_table(record["program"])]
    blocks += ["## Conditions", condition_table(record["conditions"])]
    return "\n\n".join(blocks) + "\n"


def comparison(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return runs side by side as a Markdown table, a column for each.

    Args:
        records: By the name of the run.
    """
    columns = [_summary(record) for record in records.values()]
    rows = [[name, *(column.get(name, NONE) for column in columns)] for name in _names(columns)]
    return table(["Measure", *records], rows) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def run_names(paths: Sequence[Path]) -> list[str]:
    """Return what files of figures are called side by side: their stems, or their paths."""
    stems = [path.stem for path in paths]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in paths]


def _summary(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the measures of a run by name."""
    rows = _short_rows("", record["recordings"]["all"])
    if "session" in record:
        rows |= _short_rows("session: ", record["session"]["all"])
    return rows | dict(_program_rows(record["program"]) if "program" in record else ())


def _short_rows(prefix: str, figures: Mapping[str, Any]) -> dict[str, str]:
    errors = figures["errors"]
    rows = {
        "words wrong live, %": percent(errors["live"]["wer"]),
        "words wrong offline, %": percent(errors["offline"]["wer"]),
        "live against offline, %": relative_difference(errors),
        **dict(_measure_rows(figures)),
        "real-time factor": f"{figures['rtf']['all']:.4f}",
    }
    return {f"{prefix}{name}": value for name, value in rows.items()}


def _names(columns: Sequence[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(name for column in columns for name in column))


def _error_table(figures: Mapping[str, Any]) -> str:
    groups = {"all": figures["all"]["errors"], **figures["corpora"]}
    if "joined" in figures:
        offline = groups["all"]["offline"]
        groups["all, as one text"] = {"live": figures["joined"], "offline": offline}
    rows = []
    for name, errors in groups.items():
        live, offline = errors["live"], errors["offline"]
        kinds = (str(live[kind]) for kind in ("words", "substitutions", "deletions", "insertions"))
        rates = (live["wer"], offline["wer"])
        difference = relative_difference(errors)
        letters = (percent(live["cer"]), percent(offline["cer"]))
        rows.append([name, *map(percent, rates), difference, *kinds, *letters])
    head = ["Corpus", "WER live, %", "offline, %", "difference, %", "Words"]
    return table([*head, "Subst.", "Del.", "Ins.", "CER live, %", "offline, %"], rows)


def relative_difference(errors: Mapping[str, Any]) -> str:
    """Return the relative difference of live and offline with its interval."""
    share, interval = errors.get("relative"), errors.get("relative_interval")
    if share is None or interval is None:
        return percent(share, sign="+")
    low, high = (percent(end, sign="+") for end in interval)
    return f"{percent(share, sign='+')} ({low} to {high})"


def _measure_table(figures: Mapping[str, Any]) -> str:
    return table(["Measure", "Figure"], _measure_rows(figures))


def _measure_rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    words, finals = figures["word_latency"], figures["final_latency"]
    flicker, settling = figures["flicker"], figures["settling"]
    ended = ", ".join(f"{count} by {reason}" for reason, count in figures["ended"].items())
    return [
        *_spread_rows("word latency", words["all"]),
        *_spread_rows("word latency, correct words", words["correct"]),
        *_spread_rows("final latency with the endpoint's silence", finals["with_silence"]),
        *_spread_rows("final latency without it", finals["without_silence"])[1:],
        ("flicker (UPWR)", f"{flicker['upwr']:.3f}"),
        ("of which by the final, %", percent(flicker["by_finals"])),
        ("revisions a second of speech", f"{flicker['revisions_a_second']:.2f}"),
        ("settling delay, p50 / p90 / p99, ms", milliseconds(settling["delay_s"])),
        ("words settled before the final, %", percent(settling["early"])),
        ("last word's end behind the last sound, mean / p50, ms", _offsets(figures)),
        ("utterances", f"{figures['utterances']} ({ended})"),
        ("partials", str(figures["partials"])),
        ("words in finals", str(figures["words"])),
        ("lost samples", str(figures["lost_samples"])),
    ]


def _offsets(figures: Mapping[str, Any]) -> str:
    offsets = figures["word_ends_behind_sound_s"]
    return milliseconds({name: offsets[name] for name in ("mean", "p50")})


def _spread_rows(name: str, spread: Mapping[str, Any]) -> list[tuple[str, str]]:
    kinds = {
        "stream_s": "",
        "computed_wall_s": ", with computing",
        "cpu_s": ", with computing by processor time",
    }
    return [
        (f"{name}{suffix}, p50 / p90 / p99, ms", milliseconds(spread[kind]))
        for kind, suffix in kinds.items()
        if kind in spread
    ]


def _stage_table(figures: Mapping[str, Any]) -> str:
    factors = figures["rtf"]
    rows = [[stage.replace("_", ", "), f"{factors[stage]:.4f}"] for stage in (*STAGES, "all")]
    return table(["Stage", "Real-time factor"], rows)


def _program_table(program: Mapping[str, Any]) -> str:
    return table(["Measure", "Figure"], _program_rows(program))


def _program_rows(program: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("start to listening, s", f"{program['startup_wall_s']:.2f}"),
        ("processor time to listening, s", f"{program['cpu_startup_s']:.2f}"),
        ("peak memory, MB", f"{program['memory_peak_mb']:.0f}"),
    ]


def condition_table(conditions: Mapping[str, Any]) -> str:
    """Return what figures depend on as a Markdown table."""
    rows = [[name.replace("_", " "), _plain(value)] for name, value in conditions.items()]
    return table(["Condition", ""], rows)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items()) or NONE
    if isinstance(value, list):
        return ", ".join(map(str, value)) or NONE
    return NONE if value is None else str(value)


def percent(share: float | None, sign: str = "") -> str:
    """Return a share from 0 to 1 as per cent."""
    return NONE if share is None else f"{100 * share:{sign}.1f}"


def milliseconds(spread: Mapping[str, float | None], digits: int = 0) -> str:
    """Return quantiles in seconds as milliseconds with so many decimal places."""
    return " / ".join(
        NONE if value is None else f"{1000 * value:.{digits}f}" for value in spread.values()
    )
