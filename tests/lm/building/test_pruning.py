"""Pruning: what goes matters least, what stays is a proper model, sizes are KenLM's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lm.building.arpa import read_arpa, write_arpa
from lm.building.kenlm_tools import COUNTER, PACKER, find_tool
from lm.building.mixture import mix
from lm.building.ngrams import NGramModel
from lm.building.pruning import (
    TrieFormat,
    counted_histories,
    importance,
    losses,
    own_histories,
    prune,
    prune_to,
)
from lm.errors import LanguageModelError
from model.settings import RangeError
from tests.lm.building.toy_ngrams import every_row, random_model, same, sums
from tests.lm.tools import needs_tools

SEEDS = st.integers(0, 10_000)


def estimated(sentences: list[str], folder: Path, *options: str) -> NGramModel:
    """Return the model that lmplz makes of sentences."""
    (folder / "text").write_text("".join(f"{line}\n" for line in sentences))
    command = [
        find_tool(COUNTER),
        "-o",
        "3",
        "-S",
        "50M",
        "-T",
        f"{folder}/",
        "--discount_fallback",
    ]
    with (folder / "text").open() as text, (folder / "arpa").open("w") as arpa:
        subprocess.run(
            [*command, *options], stdin=text, stdout=arpa, stderr=subprocess.PIPE, check=True
        )
    return read_arpa(folder / "arpa")


def relative_entropy(model: NGramModel, other: NGramModel, n: int, place: int) -> float:
    """Return how far another model is from one after the history of an n-gram, in nats."""
    history = model.rows(n)[place, :-1]
    [rows] = (some for some in every_row(model)[n - 1] if (some[0, :-1] == history).all())
    prob = 10.0 ** model.log_probs(rows)
    return float((prob * (np.log(prob) - other.log_probs(rows) * np.log(10.0))).sum())


@pytest.mark.parametrize("n", [2, 3])
def test_the_loss_is_the_change_of_perplexity_without_the_n_gram(n: int) -> None:
    model = random_model(1)
    found = losses(model, n, own_histories(model)[n - 2])
    for place in range(len(model.orders[n - 1])):
        keep = [np.ones(count, bool) for count in model.counts]
        keep[n - 1][place] = False
        shorter = NGramModel(model.words, model.orders[:n]).kept(keep[:n])
        history = own_histories(model)[n - 2][model.histories(n)[place]]
        rise = np.expm1(history * relative_entropy(model, shorter, n, place))
        assert found[place] == pytest.approx(rise, rel=1e-3, abs=1e-7)


def test_a_model_takes_its_histories_for_as_likely_as_its_words_make_them() -> None:
    model = random_model(2)
    unigrams, bigrams = own_histories(model)
    start, end, a = (model.numbers[word] for word in ("<s>", "</s>", "a"))
    assert unigrams[start] == unigrams[end]
    for place, (history, word) in enumerate(model.rows(2)):
        after = 10.0 ** model.log_probs(np.array([[history, word]]))[0]
        assert bigrams[place] == pytest.approx(unigrams[history] * after, rel=1e-5)
    assert unigrams[a] == pytest.approx(10.0 ** model.orders[0].log_probs[a], rel=1e-5)


def test_counted_histories_are_shares_of_places() -> None:
    model = random_model(3, "a b")
    text, other = ["a b", "a", "b a a"], ["a"]
    unigrams, bigrams = counted_histories(model, [text, other], [0.75, 0.25])
    start, a = model.numbers["<s>"], model.numbers["a"]
    assert unigrams[start] == pytest.approx(0.75 * 3 / 9 + 0.25 * 1 / 2)
    assert unigrams[a] == pytest.approx(0.75 * 4 / 9 + 0.25 * 1 / 2)
    [place] = model.find(np.array([[a, a]]))
    if place >= 0:
        assert bigrams[place] == pytest.approx(0.75 * 1 / 9 + 0.25 * 0.5 / 2)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0, 0.2), st.integers(2, 4))
@example(304, 0.0, 2)
@example(7052, 0.0, 2)
def test_what_stays_is_a_proper_model(seed: int, threshold: float, order: int) -> None:
    model = random_model(seed, "a b c", order)
    pruned = prune(model, threshold)
    # Where nearly nothing is left for the back-off, the last digits of its weight count.
    assert sums(pruned) == pytest.approx(1.0, abs=1e-4)
    assert all((endings >= 0).all() for endings in pruned.endings[1:])
    for n in range(2, pruned.order + 1):
        rows = pruned.rows(n)
        assert (pruned.find(rows[:, :-1]) >= 0).all()
        kept = model.find(rows)
        assert (kept >= 0).all()
        assert np.array_equal(model.orders[n - 1].log_probs[kept], pruned.orders[n - 1].log_probs)


def test_the_threshold_zero_changes_nothing() -> None:
    model = random_model(4, order=4)
    assert same(prune(model, 0.0), model)


def test_a_high_threshold_leaves_single_words() -> None:
    pruned = prune(random_model(5, order=4), 1e9)
    assert pruned.counts == (8, 0)


def test_pruning_more_keeps_a_part_of_what_pruning_less_keeps() -> None:
    model = random_model(6)
    less, more = (prune(model, threshold) for threshold in (0.002, 0.02))
    assert 0 < sum(more.counts) < sum(less.counts) < sum(model.counts)
    for n in range(2, more.order + 1):
        assert (less.find(more.rows(n)) >= 0).all()


def test_n_grams_matter_at_least_as_much_as_those_they_hold() -> None:
    model = random_model(7, order=4)
    worth = importance(model)
    assert np.isinf(worth[0]).all()
    for n in range(3, 5):
        assert (worth[n - 2][model.histories(n)] >= worth[n - 1]).all()
        assert (worth[n - 2][model.endings[n - 1]] >= worth[n - 1]).all()


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(9, 60))
def test_pruned_to_a_number_of_n_grams_it_is_the_largest_within(seed: int, limit: int) -> None:
    model = random_model(seed)
    pruned = prune_to(model, limit)
    assert sum(pruned.counts) <= limit
    worth = np.sort(np.concatenate(importance(model)))[::-1]
    if sum(model.counts) > limit and worth[limit - 1] > max(worth[limit], 1e-12) * 1.001:
        assert sum(pruned.counts) == limit


def test_a_model_within_the_limit_stays_as_it_is() -> None:
    model = random_model(8)
    assert prune_to(model, sum(model.counts)) is model


def test_a_limit_below_the_words_is_named() -> None:
    with pytest.raises(LanguageModelError, match="at most 7 large, and its 8 words alone take 8"):
        prune_to(random_model(9), 7)


def test_a_trie_cannot_have_any_number_of_bits() -> None:
    with pytest.raises(RangeError, match="probability_bits: must be 2 to 25, got 1"):
        TrieFormat(probability_bits=1)


@needs_tools
@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("bits", [(8, 8, 22), (4, 6, 3), (12, 10, 64)])
def test_the_size_of_a_trie_is_that_of_its_file(
    tmp_path: Path, order: int, bits: tuple[int, int, int]
) -> None:
    model = random_model(10, "a b c d e f g h i j k l".replace("l", "longer"), order)
    write_arpa(model, tmp_path / "arpa")
    options = [text for pair in zip("qba", map(str, bits), strict=True) for text in pair]
    options = [f"-{text}" if text.isalpha() else text for text in options]
    subprocess.run(
        [find_tool(PACKER), *options, "trie", "arpa", "binary"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    size = TrieFormat(*bits).bytes(model.words, model.counts)
    assert (tmp_path / "binary").stat().st_size == size


@needs_tools
@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.text("ab c", min_size=1, max_size=20), min_size=2, max_size=8),
    st.lists(st.text("bc d", min_size=1, max_size=20), min_size=2, max_size=8),
)
def test_real_models_mix_and_prune_to_proper_ones(
    tmp_path_factory: pytest.TempPathFactory, one: list[str], other: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    texts = [["a b c", *one], ["b c d", *other]]
    models = [estimated(text, folder) for text in texts]
    for model in models:
        assert sums(model) == pytest.approx(1.0, abs=1e-4)
        assert same(model.with_back_offs(), model, 1e-3)
    mixture = mix(models, [0.5, 0.5])
    assert sums(mixture) == pytest.approx(1.0, abs=1e-4)
    histories = counted_histories(mixture, texts, [0.5, 0.5])
    pruned = prune_to(mixture, sum(mixture.counts) - 2, histories=histories)
    assert sum(pruned.counts) < sum(mixture.counts)
    assert sums(pruned) == pytest.approx(1.0, abs=1e-4)
