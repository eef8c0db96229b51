"""What ``benchmarks/errors.py`` does."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.causes import groups
from benchmarks.causes.cases import Case, snr_db
from benchmarks.causes.cutting import Cutter, cutting
from benchmarks.causes.groups import Vocabulary, by_case, by_word
from benchmarks.causes.kinds import by_kind, by_nearness, judge_case
from benchmarks.causes.scores import Judge
from benchmarks.causes.searching import (
    TIMES_AS_WIDE,
    Listing,
    list_readings,
    list_wide,
    searches,
)
from benchmarks.causes.sections import Section, report
from benchmarks.live.options import check_output, json_bytes
from benchmarks.live.tables import run_names
from lm.beam import BeamDecoder
from lm.loading import load_tuned
from lm.tuning.inputs import Inputs, Source, load_inputs
from lm.tuning.log_probs import Scored
from model.audio import read_audio
from model.commands.terminal import Terminal
from model.errors import UsageError
from model.evaluation.rates import greedy_text
from model.files import write_output
from model.settings import load_settings
from streamer.app import load_model
from streamer.audio import SAMPLE_RATE
from streamer.settings import LiveSettings

SCHEMA = 1
"""Of the JSON; raised when a key changes its meaning or is taken away."""

SEED = 0
"""Of the sample."""

VERSIONS = ("jiwer", "kenlm", "numpy", "onnxruntime")


@dataclass(frozen=True)
class ErrorOptions:
    """The command line; see ``errors.py --help``."""

    bundle: Path
    language_model: Path
    manifest: Sequence[Path]
    output: Path | None = None
    sample: int = 40
    limit: int = 0
    cache: Path = Path("cache/log-probabilities")

    def source(self) -> Source:
        """Return where the inputs are."""
        return Source(
            self.manifest, self.bundle, self.language_model, cache=self.cache, limit=self.limit
        )

    def live(self) -> LiveSettings:
        """Return the settings of the live path."""
        model, language_model = self.bundle.resolve(), self.language_model.resolve()
        return load_settings(
            LiveSettings, None, [f"model={model}", f"decoder.language_model={language_model}"]
        )


def measure(options: ErrorOptions, terminal: Terminal) -> dict[str, Any]:
    """Find out where the errors of a captioner are, write that, and return it.

    Raises:
        CaptionerError: If an input cannot be used, or a file cannot be written.
    """
    check_output(options.output)
    inputs = load_inputs(options.source(), terminal)
    bench = _Bench(options, inputs, terminal)
    record = {
        "schema": SCHEMA,
        "program": "benchmarks/errors.py",
        "conditions": bench.conditions(),
        "sections": [section.record() for section in bench.sections()],
    }
    _publish({record["conditions"]["model"]: record}, record, options.output, terminal)
    return record


def compare(paths: Sequence[Path], output: Path | None, terminal: Terminal) -> None:
    """Show runs side by side; write them and the table if ``output`` is given.

    Raises:
        UsageError: If a file holds no figures of a run, or another cannot be written.
    """
    check_output(output)
    if output is not None and output.resolve() in [path.resolve() for path in paths]:
        raise UsageError(f"{output}: is also to be read; give another place for the result")
    records = dict(zip(run_names(paths), map(_read, paths), strict=True))
    _publish(records, records, output, terminal)


def _publish(
    records: Mapping[str, Mapping[str, Any]],
    content: Mapping[str, Any],
    output: Path | None,
    terminal: Terminal,
) -> None:
    page = report(records)
    terminal.out.print(page, markup=False, highlight=False, soft_wrap=True)
    if output is not None:
        write_output(output, json_bytes(content))
        write_output(output.with_suffix(".md"), page.encode())
        terminal.say(f"wrote {output}, {output.with_suffix('.md')}")


def _read(path: Path) -> dict[str, Any]:
    """Read the figures of a run.

    Raises:
        UsageError: If there are none.
    """
    try:
        record = dict(json.loads(path.read_text(encoding="utf-8")))
        schema = record["schema"]
        report({path.stem: record})
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, LookupError, TypeError, AttributeError):
        reason = "it holds no figures of errors.py, or those of another version"
    else:
        if schema == SCHEMA:
            return record
        reason = f"its schema is {schema}, this program writes {SCHEMA}"
    raise UsageError(f"{path}: cannot be compared: {reason}; write it with errors.py --output")


def draw_sample(cases: Sequence[Case], most: int) -> list[Case]:
    """Return up to so many recordings of each corpus, drawn by ``SEED``, in their order."""
    drawn: set[int] = set()
    for corpus in dict.fromkeys(case.row.corpus for case in cases):
        places = [place for place, case in enumerate(cases) if case.row.corpus == corpus]
        random = np.random.default_rng(SEED)
        drawn |= set(random.permutation(places)[:most].tolist())
    return [case for place, case in enumerate(cases) if place in drawn]


class _Bench:
    """Reads recordings and says what came of it, section by section."""

    def __init__(self, options: ErrorOptions, inputs: Inputs, terminal: Terminal) -> None:
        self._options = options
        self._inputs = inputs
        self._terminal = terminal
        self._model, self._tuned = load_tuned(options.language_model)
        self._vocabulary = Vocabulary(self._model)
        self._decoder = self._beam(self._tuned.search.beam_width)

    def _beam(self, width: int) -> BeamDecoder:
        settings = replace(self._tuned.search, beam_width=width)
        return BeamDecoder(self._inputs.acoustics.alphabet, self._model, settings)

    def sections(self) -> Iterator[Section]:
        """Yield all tables."""
        cases = self._cases()
        yield from _recordings(cases)
        yield from _words(cases, self._vocabulary)
        yield from self._kinds(cases)
        sample = draw_sample(cases, self._options.sample)
        yield self._searches(sample)
        yield self._cuts(sample)
        yield from groups.confusions(cases)

    def _cases(self) -> list[Case]:
        scored = self._inputs.scored
        with self._terminal.counting("reading", len(scored)) as progress:
            cases = []
            for done, item in enumerate(scored, 1):
                cases.append(self._case(item))
                progress(done)
        return cases

    def _case(self, item: Scored) -> Case:
        texts = list_readings(self._decoder, item)
        greedy = greedy_text(item.log_probs(), self._inputs.acoustics.alphabet)
        ratio = snr_db(read_audio(item.row.audio, SAMPLE_RATE))
        return Case(item, texts[0] if texts else "", texts, greedy, ratio)

    def _kinds(self, cases: Sequence[Case]) -> Iterator[Section]:
        alphabet, judged = self._inputs.acoustics.alphabet, []
        judge = Judge(alphabet, self._model, self._tuned.search)
        with self._terminal.counting("judging", len(cases)) as progress:
            for done, case in enumerate(cases, 1):
                judged.append(judge_case(case, judge, self._vocabulary))
                progress(done)
        yield from by_kind(judged)
        yield by_nearness(judged)

    def _searches(self, sample: Sequence[Case]) -> Section:
        width = self._tuned.search.beam_width
        wide = self._beam(TIMES_AS_WIDE * width)
        with self._terminal.counting("wide search", len(sample)) as progress:
            listed = list_wide(wide, sample, progress)
        own = [Listing(case, case.listed) for case in sample]
        found = {f"beam of {width}": own, f"beam of {TIMES_AS_WIDE * width}": listed}
        return searches(found, sample)

    def _cuts(self, sample: Sequence[Case]) -> Section:
        settings = self._options.live()
        cutter = Cutter(settings, load_model(settings.model, settings.engine))
        with self._terminal.counting("live", len(sample)) as progress:
            return cutting(cutter.cut_all(sample, progress))

    def conditions(self) -> dict[str, Any]:
        """Return what the figures depend on."""
        inputs = self._inputs
        return {
            "manifest": ", ".join(str(path) for path in self._options.manifest),
            "recordings": len(inputs.scored),
            "audio_s": round(sum(item.row.duration for item in inputs.scored), 1),
            "sample of each corpus": self._options.sample,
            "seed": SEED,
            "model": inputs.acoustics.name,
            "weights_sha256": inputs.acoustics.weights_sha256,
            "language_model": str(self._options.language_model),
            "language_model_sha256": inputs.language_model_sha256,
            "search": asdict(self._tuned.search),
            "python": platform.python_version(),
            "versions": {name: version(name) for name in VERSIONS},
        }


def _recordings(cases: Sequence[Case]) -> Iterator[Section]:
    interval = "From and to: the 95 % bootstrap interval of the word error rate."
    ratio = (
        "Estimated from the recording: mean power of the frames of 10 ms in which WebRTC's "
        "detector, at its strictest, hears a voice, to the median power of those that are 60 ms "
        "or more away from any, by which it is lessened too. A recorder's noise gate makes it "
        "better than it was in the room."
    )
    quarters = "Corpora with more than eight speakers by quarters of their speakers by error rate."
    yield by_case("By corpus", interval, groups.by_corpus(cases))
    yield by_case("By speaker", quarters, groups.by_speaker(cases))
    yield by_case("By signal-to-noise ratio", ratio, groups.by_snr(cases))
    yield by_case("By length", "Words in the reference.", groups.by_length(cases))


def _words(cases: Sequence[Case], vocabulary: Vocabulary) -> Iterator[Section]:
    rank = (
        "Words of the references by their rank among the unigram probabilities of the language "
        "model. Wrong: replaced or left out; words added are of no reference word."
    )
    beside = "Words that the language model lacks, and what they do to the words beside them."
    yield by_word("By how common a word is", rank, cases, vocabulary.rank_of, vocabulary.names)
    yield by_word("Unknown words", beside, cases, vocabulary.neighbour_of, groups.NEIGHBOURS)
    yield groups.without_unknown(cases, vocabulary)
    yield groups.unknown_read(cases, vocabulary)
    place = "In utterances of five words and more."
    yield by_word("By place in the utterance", place, cases, groups.place_of, groups.PLACES)
    letters, lengths = "Letters of a word.", groups.up_to_names(groups.LETTERS)
    yield by_word("By length of the word", letters, cases, groups.letters_of, lengths)
