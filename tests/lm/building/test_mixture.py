"""Mixtures against their definition, computed by KenLM, and weights against known ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm.building.arpa import read_arpa
from lm.building.mixture import best_weights, mix, widened, word_probabilities
from lm.building.ngrams import NGramModel
from lm.errors import LanguageModelError
from tests.lm.building.toy_ngrams import (
    every_row,
    in_kenlm,
    kenlm_log_prob,
    random_model,
    same,
    sums,
)

SEEDS = st.integers(0, 10_000)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from(["a b c d e", "a b c x", "v w x y"]), st.integers(1, 4))
def test_every_history_of_a_mixture_sums_to_one(seed: int, words: str, order: int) -> None:
    mixture = mix([random_model(seed), random_model(seed + 1, words, order)], [0.3, 0.7])
    assert sums(mixture) == pytest.approx(1.0, abs=1e-5)


def test_n_grams_of_a_part_have_the_mean_probability(tmp_path: Path) -> None:
    parts, weights = [random_model(1), random_model(2, order=4)], [0.25, 0.75]
    mixture = mix(parts, weights)
    readers = [in_kenlm(part, tmp_path / f"{place}.arpa") for place, part in enumerate(parts)]
    mixed = in_kenlm(mixture, tmp_path / "mixture.arpa")
    for n in range(2, mixture.order + 1):
        for numbers in mixture.rows(n):
            *history, word = [mixture.words[number] for number in numbers]
            mean = sum(
                weight * 10 ** kenlm_log_prob(reader, history, word)
                for reader, weight in zip(readers, weights, strict=True)
            )
            assert 10 ** kenlm_log_prob(mixed, history, word) == pytest.approx(mean, rel=1e-4)


def test_adapted_weights_follow_what_the_parts_give_to_the_history(tmp_path: Path) -> None:
    parts, shares = [random_model(21), random_model(22)], [0.25, 0.75]
    mixture = mix(parts, shares, 0.5)
    readers = [in_kenlm(part, tmp_path / f"{place}.arpa") for place, part in enumerate(parts)]
    for numbers in mixture.rows(3):
        first, second, word = (mixture.words[number] for number in numbers)
        begun = [] if first == "<s>" else [first]
        likely = [
            sum(kenlm_log_prob(reader, [], some) for some in begun)
            + kenlm_log_prob(reader, [first], second)
            for reader in readers
        ]
        weights = np.array(shares) * 10.0 ** (0.5 * np.array(likely))
        after = [10.0 ** kenlm_log_prob(reader, [first, second], word) for reader in readers]
        mean = np.average(after, weights=weights)
        assert 10.0 ** mixture.log_probs(numbers[None]) == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("adaptation", [0.5, 1.0])
def test_adapted_mixtures_are_proper_models(adaptation: float) -> None:
    mixture = mix([random_model(23), random_model(24, "b c x", 4)], [0.3, 0.7], adaptation)
    assert sums(mixture) == pytest.approx(1.0, abs=1e-5)
    model = random_model(25)
    assert same(mix([model, model], [0.5, 0.5], adaptation), model, 1e-5)
    with pytest.raises(LanguageModelError, match="must be 0 to 1, got 2"):
        mix([model], [1], 2)


def test_other_n_grams_have_nearly_the_mean_probability() -> None:
    parts, weights = [random_model(3), random_model(4)], [0.5, 0.5]
    mixture = mix(parts, weights)
    rows = every_row(mixture)[2].reshape(-1, 3)
    mean = sum(
        weight * 10.0 ** part.log_probs(rows) for part, weight in zip(parts, weights, strict=True)
    )
    distance = np.abs(10.0 ** mixture.log_probs(rows) - mean)
    assert distance.mean() < 0.02


@pytest.mark.parametrize("weights", [[0.5, 0.5], [3, 1], [1, 0]])
def test_a_model_mixed_with_itself_stays(weights: list[float]) -> None:
    model = random_model(6, order=4)
    assert same(mix([model, model], weights), model, 1e-5)


def test_all_the_weight_on_a_part_gives_its_probabilities() -> None:
    one, other = random_model(7), random_model(8)
    mixture = mix([one, other], [1, 0])
    assert len(mixture.orders[1]) > len(one.orders[1])
    for n, some in enumerate(every_row(mixture), 1):
        rows = some.reshape(-1, n)
        assert mixture.log_probs(rows) == pytest.approx(one.log_probs(rows), abs=1e-5)


def test_words_that_a_part_lacks_share_its_unknown_word() -> None:
    one, other = random_model(9, "a b"), random_model(10, "b c d")
    wide, _ = widened([one, other])
    assert wide.words == ("</s>", "<s>", "<unk>", "a", "b", "c", "d")
    unknown = 10.0 ** one.orders[0].log_probs[one.unknown]
    shared = 10.0 ** wide.orders[0].log_probs[[wide.numbers[word] for word in ("<unk>", "c", "d")]]
    assert shared == pytest.approx(unknown / 3, rel=1e-5)
    assert sums(wide) == pytest.approx(1.0, abs=1e-5)


def test_a_part_without_an_unknown_word_gives_nothing_to_others() -> None:
    one, other = random_model(11, "a b"), random_model(12, "a b c")
    closed = without_unknown(one)
    mixture = mix([closed, other], [0.5, 0.5])
    word = np.array([[mixture.numbers["c"]]])
    theirs = other.log_probs(np.array([[other.numbers["c"]]]))
    assert mixture.log_probs(word) == pytest.approx(theirs - np.log10(2), abs=1e-5)


def without_unknown(model: NGramModel) -> NGramModel:
    """Return the words of a model as one without an unknown word."""
    named = np.arange(len(model.words)) != model.unknown
    grams = model.orders[0]
    words = tuple(word for word, kept in zip(model.words, named, strict=True) if kept)
    log_probs = grams.log_probs[named]
    unigrams = replace(
        grams,
        keys=np.arange(len(words)),
        log_probs=log_probs,
        back_offs=np.zeros_like(log_probs),
    )
    return NGramModel(words, (unigrams,))


def test_weights_of_a_text_drawn_from_a_mixture_are_found() -> None:
    parts = [random_model(13, order=1), random_model(14, order=1)]
    drawn = np.random.default_rng(0)
    spoken = [parts[0].numbers[word] for word in "abcde"]
    probs = [10.0 ** part.orders[0].log_probs[spoken].astype(float) for part in parts]
    joint = 0.2 * probs[0] + 0.8 * probs[1]
    words = drawn.choice(list("abcde"), 30_000, p=joint / joint.sum())
    ended = [" ".join(some) for some in words.reshape(-1, 10)]
    weights = best_weights(parts, ended)
    surprise = [
        -np.log(share * one + (1 - share) * other).mean()
        for one, other in [word_probabilities(parts, ended)]
        for share in np.linspace(0.001, 0.999, 999)
    ]
    assert sum(weights) == pytest.approx(1.0)
    assert weights[0] == pytest.approx((np.argmin(surprise) + 1) / 1000, abs=0.003)


def test_a_text_of_one_part_gives_it_the_weight() -> None:
    parts = [without_unknown(random_model(15, "a b")), random_model(16, "x y")]
    assert best_weights(parts, ["x y y", "y x"])[1] > 0.7


def test_unknown_words_do_not_count() -> None:
    parts = [random_model(17), random_model(18)]
    [one, _] = word_probabilities(parts, ["a never b"])
    assert len(one) == 3
    with pytest.raises(LanguageModelError, match="words that they know"):
        best_weights(parts, [])


@pytest.mark.parametrize("weights", [[], [1.0], [0.5, -0.5], [0, 0], [np.nan, 1], [np.inf, 1]])
def test_unusable_weights_are_named(weights: list[float]) -> None:
    with pytest.raises(LanguageModelError, match="one for each of 2 models, at least 0"):
        mix([random_model(1), random_model(2)], weights)


def test_no_models_cannot_be_mixed() -> None:
    with pytest.raises(LanguageModelError, match="at least one model"):
        mix([], [])


def test_a_mixture_is_read_back_from_its_file(tmp_path: Path) -> None:
    mixture = mix([random_model(19), random_model(20, "a b x")], [0.4, 0.6])
    in_kenlm(mixture, tmp_path / "mixture.arpa")
    assert same(read_arpa(tmp_path / "mixture.arpa"), mixture)
