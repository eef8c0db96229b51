"""The beam search against all paths, against pyctcdecode, and against itself in pieces."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby, pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm.beam import COMPARED, BeamDecoder
from lm.errors import LanguageModelError
from lm.hotwords import Hotwords
from lm.language_model import LN_10, LanguageModel
from lm.reference import ReferenceDecoder
from lm.search import SearchSettings
from model.alphabet import ENGLISH, Alphabet
from tests.lm.toys import ARPA, also, path_of, random_log_probs, write_arpa

EXACT = SearchSettings(10_000, beam_threshold=1000.0, symbol_threshold=1000.0)
FEW = Alphabet(("", "a", "b", " "))
FEW_ARPA = """\\data\\
ngram 1=6
ngram 2=3

\\1-grams:
-99\t<s>\t-0.2
-0.9\t</s>
-2.0\t<unk>
-0.8\ta\t-0.3
-1.1\tb\t-0.1
-1.4\tab\t-0.4

\\2-grams:
-0.3\t<s> ab
-0.2\tab a
-0.1\tb </s>

\\end\\
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(write_arpa(tmp_path_factory.mktemp("lm") / "tiny.arpa"))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(write_arpa(tmp_path_factory.mktemp("lm") / "few.arpa", FEW_ARPA))


def worth(text: str, model: LanguageModel, weights: SearchSettings) -> float:
    """Return what a text is worth apart from its sound, by its definition."""
    state, total = model.start(), 0.0
    for word in text.split():
        score, state = model.score(state, word)
        total += weights.alpha * score + weights.beta
        total -= 0.0 if model.knows(word) else weights.unknown_penalty
    return total + weights.alpha * model.end_score(state)


def all_paths(
    log_probs: np.ndarray, model: LanguageModel, weights: SearchSettings
) -> dict[str, float]:
    """Return the score of every text, from the sum over all paths through the frames."""
    mass: dict[str, float] = {}
    for path in product(range(FEW.size), repeat=len(log_probs)):
        text = " ".join(FEW.decode(label for label, _ in groupby(path) if label).split())
        chance = math.exp(sum(log_probs[frame, label] for frame, label in enumerate(path)))
        mass[text] = mass.get(text, 0.0) + chance
    return {text: math.log(p) + worth(text, model, weights) for text, p in mass.items()}


@pytest.mark.parametrize("seed", range(12))
def test_an_unpruned_search_scores_every_text_as_all_paths_do(
    seed: int, few: LanguageModel
) -> None:
    logits = np.random.default_rng(seed).normal(0, 1.5, (6, FEW.size))
    log_probs = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
    expected = sorted(all_paths(log_probs, few, EXACT).items(), key=lambda item: -item[1])
    found = BeamDecoder(FEW, few, EXACT).n_best(log_probs, 1000)
    assert len(found) == len(expected)
    assert [reading.text for reading in found[:5]] == [text for text, _ in expected[:5]]
    scores = dict(expected)
    for reading in found:
        assert reading.score == pytest.approx(scores[reading.text], abs=1e-4)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 40), max_size=6))
def test_any_pieces_give_the_reading_of_the_whole(
    model: LanguageModel, seed: int, cuts: list[int]
) -> None:
    log_probs = random_log_probs(seed, 40)
    decoder = BeamDecoder(ENGLISH, model, SearchSettings(beam_width=8))
    session = decoder.session()
    for begin, end in pairwise([0, *sorted(cuts), 40]):
        session.push(log_probs[begin:end])
        session.best(random_log_probs(seed + 1, 7))
    assert session.best(final=True) == decoder.decode(log_probs)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 30))
def test_a_tail_is_read_as_if_it_had_been_pushed_and_leaves_no_trace(
    model: LanguageModel, seed: int, cut: int
) -> None:
    log_probs = random_log_probs(seed, 30)
    decoder = BeamDecoder(ENGLISH, model, SearchSettings(beam_width=8))
    session, whole = decoder.session(), decoder.session()
    session.push(log_probs[:cut])
    whole.push(log_probs)
    before = session.best()
    assert session.best(log_probs[cut:]) == whole.best()
    assert session.best() == before


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_an_unpruned_search_reads_as_pyctcdecode_does(
    seed: int, listed: bool, few: LanguageModel
) -> None:
    logits = np.random.default_rng(seed).normal(0, 1.5, (7, FEW.size))
    # pyctcdecode takes a space at the end for an unknown word, so there is none.
    logits[-2:] = [20.0, 0.0, 0.0, 0.0]
    log_probs = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
    chosen = few if listed else LanguageModel(few.kenlm, None)
    # Where words are not listed, pyctcdecode makes no unknown word dearer.
    weights = replace(EXACT, unknown_penalty=EXACT.unknown_penalty if listed else 0.0)
    ours = BeamDecoder(FEW, chosen, weights).decode(log_probs)
    theirs = ReferenceDecoder(FEW, chosen, weights).decode(log_probs)
    assert ours.text == theirs.text
    assert ours.score == pytest.approx(theirs.score, abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_a_narrow_search_finds_what_pyctcdecode_finds_or_better(
    seed: int, model: LanguageModel
) -> None:
    spoken = "_the__ _cat_ _sat_ the_ hut_"
    log_probs = np.logaddexp(path_of(spoken, 0.7), random_log_probs(seed, len(spoken), 2.0))
    log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
    log_probs = np.concatenate([log_probs, path_of("__", 0.9999)])
    ours = BeamDecoder(ENGLISH, model).decode(log_probs)
    theirs = ReferenceDecoder(ENGLISH, model).decode(log_probs)
    assert ours.score >= theirs.score - 0.1


def test_the_language_model_decides_between_alike_words(model: LanguageModel) -> None:
    log_probs = also(path_of("the_ cut_ sat_", 0.6), 6, "a", 0.3)
    assert BeamDecoder(ENGLISH, model).decode(log_probs).text == "the cat sat"
    deaf = SearchSettings(alpha=0.0, unknown_penalty=0.0)
    assert BeamDecoder(ENGLISH, model, deaf).decode(log_probs).text == "the cut sat"


def test_words_lie_where_their_symbols_are(model: LanguageModel) -> None:
    words = BeamDecoder(ENGLISH, model).decode(path_of("_the_ _cat__")).words
    assert [(word.text, word.start_frame, word.end_frame) for word in words] == [
        ("the", 1, 4),
        ("cat", 7, 10),
    ]


def test_a_symbol_that_lasts_belongs_to_its_word(model: LanguageModel) -> None:
    (word,) = BeamDecoder(ENGLISH, model).decode(path_of("__tthheee__")).words
    assert (word.start_frame, word.end_frame) == (2, 9)


@given(st.text(alphabet="_thecasu '", max_size=30))
@settings(deadline=None)
def test_words_lie_in_order_within_the_utterance(model: LanguageModel, symbols: str) -> None:
    words = BeamDecoder(ENGLISH, model).decode(path_of(symbols)).words
    places = [frame for word in words for frame in (word.start_frame, word.end_frame)]
    assert places == sorted(places)
    assert all(word.start_frame < word.end_frame for word in words)
    assert all(0 <= place <= len(symbols) for place in places)
    assert all(0 <= word.confidence <= 1 for word in words)


def test_a_surer_word_has_more_confidence(model: LanguageModel) -> None:
    sure, unsure = (
        BeamDecoder(ENGLISH, model).decode(path_of("_the_", sure)).words[0].confidence
        for sure in (0.95, 0.6)
    )
    assert sure > unsure


def test_the_posterior_is_the_share_of_the_readings_with_the_word(model: LanguageModel) -> None:
    log_probs = also(path_of("the_ cut_ sat_", 0.6), 6, "a", 0.55)
    readings = BeamDecoder(ENGLISH, model).n_best(log_probs[:9], 32)
    weights = [math.exp(reading.score) for reading in readings]
    with_cat = sum(
        weight
        for reading, weight in zip(readings, weights, strict=True)
        if "cat" in reading.text.split()
    )
    (cat,) = (word for word in readings[0].words if word.text == "cat")
    assert cat.evidence is not None
    assert cat.evidence.posterior == pytest.approx(with_cat / sum(weights), abs=0.02)


@pytest.mark.parametrize("final", [False, True])
def test_n_best_readings_differ_and_fall(model: LanguageModel, final: bool) -> None:
    session = BeamDecoder(ENGLISH, model).session()
    session.push(np.concatenate([path_of("the ", 0.6), random_log_probs(3, 20)]))
    readings = session.n_best(10, final=final)
    assert len({reading.text for reading in readings}) == 10
    scores = [reading.score for reading in readings]
    assert scores == sorted(scores, reverse=True)


def test_every_word_of_a_reading_has_its_own_reading_behind_it(model: LanguageModel) -> None:
    decoder = BeamDecoder(ENGLISH, model, SearchSettings(beam_width=200, beam_threshold=40))
    readings = decoder.n_best(random_log_probs(3, 20, 1.0), 100)
    assert len(readings) > 2 * COMPARED
    for reading in readings:
        share = math.exp(reading.score - readings[0].score) / len(readings)
        for word in reading.words:
            assert word.evidence is not None
            assert word.evidence.posterior > 0.1 * share


@settings(deadline=None)
@given(st.integers(0, 5000), st.integers(1, 3), st.integers(0, 25))
def test_every_reading_begins_with_what_is_settled(
    model: LanguageModel, seed: int, count: int, cut: int
) -> None:
    log_probs = random_log_probs(seed, 25)
    settled = ["the", "hut", "cat"][:count]
    decoder = BeamDecoder(ENGLISH, model, SearchSettings(beam_width=4))
    session = decoder.session()
    session.push(log_probs[:cut])
    for reading in (
        session.best(log_probs[cut:], settled),
        session.best(log_probs[cut:], settled, final=True),
        decoder.decode(log_probs, settled),
    ):
        assert [word.text for word in reading.words][:count] == settled
        ends = [word.end_frame for word in reading.words]
        assert ends == sorted(ends) and ends[-1] <= 25


def test_what_follows_on_settled_words_is_still_heard(model: LanguageModel) -> None:
    log_probs = path_of("_the_ _cat__ _sat_")
    decoder = BeamDecoder(ENGLISH, model)
    assert decoder.decode(log_probs, ["the", "hut"]).text == "the hut sat"
    session = decoder.session()
    session.push(log_probs[:13])
    assert session.best(settled=["the"]).text == "the cat"
    session.push(log_probs[13:])
    assert session.best(final=True).text == "the cat sat"


def test_an_utterance_goes_on_where_no_hypothesis_has_the_settled_words(
    model: LanguageModel,
) -> None:
    log_probs = path_of("_the_ _cat__ _sat_")
    session = BeamDecoder(ENGLISH, model, SearchSettings(beam_width=4)).session()
    session.push(log_probs[:8])
    assert session.best(settled=["zebra"]).text == "zebra c"
    assert session.best(log_probs[8:], ["zebra"], final=True).text == "zebra sat"
    session.push(log_probs[8:])
    assert session.best(final=True).text == "zebra sat"


@pytest.mark.parametrize("settled", [(), ("the",), ("zebra",), ("zebra", "cat", "sat")])
def test_a_reading_tells_how_probably_the_sentence_ends_behind_all_its_words(
    model: LanguageModel, settled: tuple[str, ...]
) -> None:
    log_probs = path_of("_the_ _cat__ _sat_")
    session = BeamDecoder(ENGLISH, model, SearchSettings(beam_width=4)).session()
    session.push(log_probs)
    reading = session.best(settled=settled)
    assert reading.sentence_end == model.sentence_end(reading.text.split()) > 0
    assert session.best(np.zeros((0, ENGLISH.size)), settled).sentence_end == reading.sentence_end
    assert BeamDecoder(ENGLISH, model).decode(path_of("___")).sentence_end == 0


def test_an_utterance_goes_on_where_no_hypothesis_gets_behind_the_settled_words(
    model: LanguageModel,
) -> None:
    # Without a space, nothing but silence can follow on "ca".
    log_probs = path_of("_the_ cat__sat_")
    reading = BeamDecoder(ENGLISH, model).decode(log_probs, ["the", "ca"])
    assert [word.text for word in reading.words][:2] == ["the", "ca"]
    assert reading.words[-1].text.endswith("sat")


def test_a_reading_that_agrees_with_what_was_shown_may_be_a_little_worse(
    model: LanguageModel,
) -> None:
    log_probs = also(path_of("_the_ cat_ sat_"), 6, "u", 0.5)
    decoder = BeamDecoder(ENGLISH, model)
    best, other = decoder.n_best(log_probs, 2)
    shown = [word.text for word in other.words]
    gap = best.score - other.score
    session = decoder.session()
    session.push(log_probs)
    for margin, text in ((0.0, best.text), (gap - 0.01, best.text), (gap + 0.01, other.text)):
        assert session.best(final=True, shown=shown, margin=margin).text == text
    assert session.best(final=True, shown=["zebra"], margin=gap + 0.01).text == best.text


def test_words_that_cannot_all_have_been_said_are_settled_nevertheless(
    model: LanguageModel,
) -> None:
    log_probs = path_of("the")
    log_probs[:, 1:5] = -np.inf
    reading = BeamDecoder(ENGLISH, model).decode(log_probs, ["the", "cat", "sat"])
    assert reading.text == "the cat sat"
    assert all(word.start_frame <= word.end_frame <= 3 for word in reading.words)


def test_hotwords_are_preferred_as_much_as_they_weigh(model: LanguageModel) -> None:
    log_probs = also(path_of("the_ sat_", 0.9), 5, "m", 0.4)
    assert BeamDecoder(ENGLISH, model).decode(log_probs).text == "the sat"
    for weight, text in ((0.1, "the sat"), (15.0, "the mat")):
        boosted = BeamDecoder(ENGLISH, model, hotwords=Hotwords({"mat": weight}))
        assert boosted.decode(log_probs).text == text


def test_a_hotword_is_worth_its_weight(few: LanguageModel) -> None:
    log_probs = path_of("_bb ab_", 0.5, FEW)
    weights = {"ab": 3.0, "b ab": 2.0, "bb": 1.5}
    boosted = BeamDecoder(FEW, few, EXACT, Hotwords(weights)).n_best(log_probs, 500)
    before = {r.text: r.score for r in BeamDecoder(FEW, few, EXACT).n_best(log_probs, 500)}
    for reading in boosted:
        words = reading.text.split()
        pairs = list(pairwise(words))
        bonus = 3.0 * words.count("ab") + 2.0 * pairs.count(("b", "ab"))
        # A hotword is no unknown word.
        bonus += (1.5 + EXACT.unknown_penalty) * words.count("bb")
        assert reading.score == pytest.approx(before[reading.text] + bonus, abs=1e-4)


def test_no_word_of_a_phrase_is_an_unknown_word(model: LanguageModel) -> None:
    log_probs = path_of("_zuzu vaxo_", 0.7)
    phrase = BeamDecoder(ENGLISH, model, hotwords=Hotwords({"zuzu vaxo": 8.0}))
    words = BeamDecoder(ENGLISH, model, hotwords=Hotwords({"zuzu": 4.0, "vaxo": 4.0}))
    assert phrase.decode(log_probs).text == "zuzu vaxo"
    expected = words.decode(log_probs).score
    assert phrase.decode(log_probs).score == pytest.approx(expected)


def test_other_hotwords_hold_from_the_next_utterance_on(model: LanguageModel) -> None:
    log_probs = also(path_of("the_ sat_", 0.9), 5, "m", 0.4)
    decoder = BeamDecoder(ENGLISH, model)
    session = decoder.session()
    decoder.use(Hotwords({"mat": 15.0}))
    session.push(log_probs)
    assert session.best(final=True).text == "the sat"
    assert decoder.decode(log_probs).text == "the mat"


def test_an_empty_utterance_has_no_words(model: LanguageModel) -> None:
    decoder = BeamDecoder(ENGLISH, model)
    assert decoder.decode(np.zeros((0, ENGLISH.size), np.float32)).words == ()
    assert decoder.session().best().words == ()


@pytest.mark.parametrize("place", [(3, 2), (3,)])
@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0])
def test_what_is_no_logarithm_of_a_probability_is_refused(
    place: tuple[int, ...], value: float, model: LanguageModel
) -> None:
    log_probs = path_of("_the_")
    log_probs[place] = value
    session = BeamDecoder(ENGLISH, model).session()
    with pytest.raises(ValueError, match=f"must be natural logarithms .* got {value}"):
        session.push(log_probs)
    with pytest.raises(ValueError, match="must be natural logarithms"):
        session.best(log_probs)


@pytest.mark.parametrize("shape", [(4, ENGLISH.size - 1), (4, ENGLISH.size + 1), (ENGLISH.size,)])
def test_another_number_of_symbols_is_refused(shape: tuple[int, ...], model: LanguageModel) -> None:
    with pytest.raises(ValueError, match=r"must be of shape \(frames, 29\)"):
        BeamDecoder(ENGLISH, model).decode(np.full(shape, -3.0, np.float32))


@pytest.mark.parametrize("alpha", [0.5, 4.0, 10.0])
def test_impossible_words_do_no_harm(alpha: float, tmp_path: Path) -> None:
    arpa = write_arpa(tmp_path / "never.arpa", ARPA.replace("-1.5\t</s>", "-99\t</s>"))
    arpa.write_text(arpa.read_text().replace("-1.2\tcat", "-99\tcat"))
    weights = SearchSettings(alpha=alpha)
    reading = BeamDecoder(ENGLISH, LanguageModel.load(arpa), weights).decode(path_of("the cat"))
    assert reading.words
    assert math.isfinite(reading.score)


def test_great_weights_of_hotwords_do_not_overflow(model: LanguageModel) -> None:
    hotwords = Hotwords({"the": 5000.0, "the cat": 5000.0})
    assert BeamDecoder(ENGLISH, model, hotwords=hotwords).decode(path_of("the cat")).words


def test_a_language_model_of_another_script_is_refused(tmp_path: Path) -> None:
    arpa = ARPA.replace("the", "это").replace("cat", "кот")
    arpa = arpa.replace("sat", "сел").replace("hut", "дом")
    foreign = LanguageModel.load(write_arpa(tmp_path / "foreign.arpa", arpa))
    with pytest.raises(LanguageModelError, match=r"foreign\.arpa: no word of it can be spelled"):
        BeamDecoder(ENGLISH, foreign)


def test_symbols_without_any_probability_do_no_harm(model: LanguageModel) -> None:
    log_probs = np.full((12, ENGLISH.size), -np.inf, np.float32)
    for frame, label in enumerate([0, *ENGLISH.encode("the"), 0, *ENGLISH.encode(" cat"), 0]):
        log_probs[frame, label] = 0.0
    log_probs[10:, 0] = 0.0
    assert BeamDecoder(ENGLISH, model).decode(log_probs).text == "the cat"


def test_long_utterances_keep_their_scores_finite(model: LanguageModel) -> None:
    reading = BeamDecoder(ENGLISH, model).decode(np.tile(path_of("_the_ cat_ sat_ "), (60, 1)))
    assert reading.text == " ".join(["the cat sat"] * 60)
    assert math.isfinite(reading.score)


def test_scores_are_natural_logarithms(model: LanguageModel) -> None:
    assert model.score(model.start(), "the")[0] == pytest.approx(-0.2 * LN_10)


def test_the_reference_reads_and_gives_frames(tmp_path: Path, model: LanguageModel) -> None:
    decoder = ReferenceDecoder(ENGLISH, model, hotwords={"mat": 20.0})
    log_probs = also(path_of("the_ sat_", 0.9), 5, "m", 0.4)
    words = decoder.decode(log_probs).words
    assert [word.text for word in words] == ["the", "mat"]
    assert [(word.start_frame, word.end_frame) for word in words] == [(0, 3), (5, 8)]
    session = decoder.session()
    session.push(log_probs[:4])
    assert session.best(log_probs[4:]).text == "the mat"
    assert decoder.decode(log_probs[:0]).words == ()
