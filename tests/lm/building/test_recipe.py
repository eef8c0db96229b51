"""The recipe of a language model: its defaults stand in the repository, bad values do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lm.building.recipe import LanguageRecipe, NGramSettings
from model.errors import SettingsError
from model.settings import load_settings

CONFIG = Path(__file__).parents[3] / "configs" / "language.yaml"


def test_the_recipe_of_the_shipped_model_can_be_read() -> None:
    assert load_settings(LanguageRecipe, CONFIG).mixture.weights


@pytest.mark.parametrize(
    ("override", "rule"),
    [
        ("text.held_out=0.6", "must be 0 to 0.5"),
        ("text.apart_words=1", "must be at least 2"),
        ("vocabulary.min_count=0", "must be at least 1"),
        ("ngrams.order=7", "must be 2 to 6"),
        ("ngrams.prune=[1]", "0 first"),
        ("ngrams.prune=[0, 2, 1]", "do not fall"),
        ("ngrams.prune=[0, 0, 0, 0, 0, 1]", "at most as many as order"),
        ("ngrams.memory=much", "must be a share such as 30% or a size such as 2G"),
        ("mixture.weights={books: 0}", "must be above 0 each"),
        ("mixture.adaptation=2", "must be 0 to 1"),
        ("size.max_mb=-1", "must be at least 0"),
        ("size.probability_bits=1", "must be 2 to 25"),
        ("ngrams.ordre=3", "did you mean order"),
    ],
)
def test_a_value_out_of_range_is_named(override: str, rule: str) -> None:
    with pytest.raises(SettingsError, match=override.partition("=")[0]) as caught:
        load_settings(LanguageRecipe, None, [override])
    assert rule in str(caught.value)


@pytest.mark.parametrize("make", [lambda: NGramSettings(order=3, prune=(0, 0, 0, 1))])
def test_pruning_of_longer_n_grams_than_there_are_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="prune"):
        make()
