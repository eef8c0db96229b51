"""Which decoders the settings ask for, with a real language model."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import streamer.decoders
from lm.beam import BeamDecoder
from lm.decoder import GreedyDecoder
from lm.errors import LanguageModelError
from lm.reference import ReferenceDecoder
from lm.search import SearchSettings
from lm.tuned import TUNED_FILE, TunedDecoder, write_tuned
from model.acoustic import Windows
from model.alphabet import ENGLISH
from model.errors import UsageError
from streamer.audio import AudioBlock
from streamer.decoders import Decoders, build_decoders
from streamer.events import Event, FinalTranscript, Notice
from streamer.runner import ThreadedRunner
from streamer.settings import DecoderSettings
from tests.streamer.tiny_arpa import write_arpa
from tests.streamer.tone_speech import (
    BlockSource,
    EventList,
    ToneModel,
    ToneSession,
    blocks,
    caption_stream,
    say,
    silence,
)

FRAME_S = 0.04


def log_probs(symbols: str, doubtful: dict[int, str]) -> np.ndarray:
    """Return two frames and a blank for each symbol, some nearly as likely to be another."""
    probs = np.full((3 * len(symbols), ENGLISH.size), 1e-3)
    for place, symbol in enumerate(symbols):
        frames = slice(3 * place, 3 * place + 2)
        probs[frames, ENGLISH.encode(symbol)] = 0.6 if place in doubtful else 0.9
        probs[3 * place + 2, 0] = 0.9
        if place in doubtful:
            probs[frames, ENGLISH.encode(doubtful[place])] = 0.3
    return np.log(probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)


THE_CUT_SAT = log_probs("the cut sat", {5: "a"})


@pytest.fixture
def arpa(tmp_path: Path) -> Path:
    return write_arpa(tmp_path / "tiny.arpa", ["the", "cat", "sat", "mat"])


def built(settings: DecoderSettings, **options: bool) -> Decoders:
    return build_decoders(settings, ENGLISH, FRAME_S, **options)


def search_of(decoders: Decoders) -> SearchSettings:
    assert isinstance(decoders.final, BeamDecoder)
    return decoders.final.settings


@pytest.mark.parametrize("kind", ["auto", "beam", "reference"])
def test_a_language_model_decides_between_alike_words(kind: str, arpa: Path) -> None:
    settings = DecoderSettings(kind=kind, language_model=arpa)  # type: ignore[arg-type]
    decoders = built(settings)
    assert decoders.final.decode(THE_CUT_SAT).text == "the cat sat"
    session = decoders.partial.session()
    session.push(THE_CUT_SAT[:20])
    assert session.best(THE_CUT_SAT[20:]).text == "the cat sat"
    assert isinstance(decoders.final, ReferenceDecoder if kind == "reference" else BeamDecoder)


@pytest.mark.parametrize(
    "settings",
    [DecoderSettings(language_model=None), DecoderSettings(kind="greedy")],
)
def test_without_a_language_model_the_reading_is_greedy(settings: DecoderSettings) -> None:
    decoders = built(settings)
    assert isinstance(decoders.final, GreedyDecoder)
    assert decoders.final is decoders.partial
    assert decoders.notices == ()


def test_where_the_shipped_language_model_is_missing_a_notice_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamer.decoders, "REPOSITORY", tmp_path)
    monkeypatch.chdir(tmp_path)
    decoders = built(DecoderSettings())
    assert isinstance(decoders.final, GreedyDecoder)
    [notice] = decoders.notices
    assert (notice.kind, notice.level) == ("no_language_model", "warning")
    assert "models/language" in notice.text and "--no-language-model" in notice.text
    with pytest.raises(LanguageModelError, match="models/language"):
        built(DecoderSettings(kind="beam"))


def test_a_language_model_is_looked_for_beside_the_program_too(
    arpa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamer.decoders, "REPOSITORY", tmp_path)
    decoders = built(DecoderSettings(language_model=Path(arpa.name)))
    assert isinstance(decoders.final, BeamDecoder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (DecoderSettings(kind="beam", language_model=None), "beam needs a language model"),
        (DecoderSettings(kind="reference", language_model=None), "reference needs a language"),
        (DecoderSettings(kind="greedy", hotwords=("Ada",)), "only the search with a language"),
        (DecoderSettings(kind="greedy", hotword_file=Path("x")), "only the search with a lang"),
        (DecoderSettings(language_model=Path("none.arpa")), "none.arpa: no such file"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    settings: DecoderSettings, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        built(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (DecoderSettings(hotwords=("R2D2",)), "hotword R2D2: cannot spell '2'"),
        (DecoderSettings(hotwords=("Ada:much",)), "hotword 'Ada:much': must be a word"),
        (DecoderSettings(hotword_file=Path("none.txt")), "none.txt: cannot be read"),
        (DecoderSettings(kind="reference", hotword_file=Path("x")), "keeps its hotwords"),
    ],
)
def test_hotwords_that_cannot_be_used_are_refused_at_the_start(
    settings: DecoderSettings, message: str, arpa: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        built(replace(settings, language_model=arpa))


@pytest.mark.parametrize("kind", ["beam", "reference"])
def test_hotwords_are_preferred(kind: str, arpa: Path) -> None:
    settings = DecoderSettings(kind=kind, language_model=arpa)  # type: ignore[arg-type]
    boosted = replace(settings, hotwords=("Cut:20",))
    assert built(boosted).final.decode(THE_CUT_SAT).text == "the cut sat"


def test_settings_are_as_tuned_for_the_language_model_but_for_those_given(tmp_path: Path) -> None:
    (tmp_path / "lm.binary").write_text(write_arpa(tmp_path / "x", ["the", "cat"]).read_text())
    (tmp_path / "words.txt").write_text("cat\nthe\n")
    tuned = SearchSettings(beam_width=20, alpha=0.7, beta=2.5, unknown_penalty=3.0)
    write_tuned(TunedDecoder(search=tuned), tmp_path / TUNED_FILE)
    settings = DecoderSettings(language_model=tmp_path)
    assert search_of(built(settings)) == tuned
    changed = replace(settings, alpha=0.0, beam_width=10)
    assert search_of(built(changed)) == replace(tuned, alpha=0.0, beam_width=10)


def test_a_language_model_without_tuned_settings_has_the_defaults(arpa: Path) -> None:
    decoders = built(DecoderSettings(language_model=arpa, beta=3.0))
    assert search_of(decoders) == SearchSettings(beta=3.0)


def test_partials_get_narrower_beams_and_then_none_when_decoding_is_slow(arpa: Path) -> None:
    settings = DecoderSettings(language_model=arpa, beam_width=20)
    clock = itertools.count(step=100.0)
    decoders = build_decoders(settings, ENGLISH, FRAME_S, True, lambda: float(next(clock)))
    read, told = [], []
    for utterance in range(5):
        for listener in decoders.listeners:
            told += listener.utterance_starts(utterance * 100.0)
        read.append(decoders.partial.session().best(THE_CUT_SAT).text)
    assert read == ["the cat sat"] * 3 + ["the cut sat"] * 2
    narrower = ["a beam of 10", "a beam of 8", "the greedy reading"]
    assert [
        f"read with {name} now" in notice.text for name, notice in zip(narrower, told, strict=True)
    ] == ([True] * 3)
    assert decoders.final.decode(THE_CUT_SAT).text == "the cat sat"


class DoubtfulModel(ToneModel):
    """Hears c nearly as d."""

    def session(self, windows: Windows | None = None) -> DoubtfulSession:
        return DoubtfulSession(windows or Windows(1, 0))


class DoubtfulSession(ToneSession):
    def log_probs(self, frames: int | None = None, final: bool = False) -> np.ndarray:
        scores = super().log_probs(frames, final)
        c, d = ENGLISH.encode("cd")
        scores[scores[:, c] > -1, d] = -1.0
        return scores


class ChangingFile(BlockSource):
    """Changes the file of hotwords before an item, once a final was shown."""

    def __init__(self, items: list[AudioBlock], place: int, path: Path) -> None:
        super().__init__(items)
        self._place = place
        self._path = path
        self.final_shown = threading.Event()

    def __iter__(self) -> Iterator[AudioBlock | Notice]:
        for place, item in enumerate(super().__iter__()):
            if place == self._place:
                assert self.final_shown.wait(20)
                self._path.write_text("abd:8\n")
            yield item


def test_a_file_of_hotwords_that_changes_is_used_from_the_next_utterance_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "names.txt"
    path.write_text("cab\n")
    settings = DecoderSettings(
        language_model=write_arpa(tmp_path / "tiny.arpa", ["abc", "abd", "cab"]),
        hotword_file=path,
    )
    first = blocks(np.concatenate([silence(0.3), say("abc"), silence(1.5)]))
    audio = np.concatenate([silence(0.3), say("abc"), silence(2.5), say("abc"), silence(1.0)])
    source = ChangingFile(blocks(audio), len(first), path)

    class Shown(EventList):
        def emit(self, event: Event, emitted_s: float) -> None:
            super().emit(event, emitted_s)
            if isinstance(event, FinalTranscript):
                source.final_shown.set()

    shown = Shown()
    stream = caption_stream(model=DoubtfulModel(), decoders=built(settings, thrifty=True))
    ThreadedRunner(source, stream, shown, ring_s=2.0).run()
    finals = [event.text for event in shown.events if isinstance(event, FinalTranscript)]
    notices = [event for event in shown.events if isinstance(event, Notice)]
    assert finals == ["abc", "abd"]
    assert [(notice.kind, notice.level) for notice in notices] == [("hotwords", "info")]
