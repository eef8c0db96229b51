"""Whether a training's steps are compiled, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from model.errors import StepError
from model.recipe import Recipe
from model.training.compiled.build import built_library
from model.training.compiled.library import StepLibrary, shape_problem
from model.training.distribution import Distribution

StepChoice = Literal["auto", "compiled", "keras"]
STEPS: tuple[StepChoice, ...] = get_args(StepChoice)


def chosen_step(
    choice: StepChoice, recipe: Recipe, distribution: Distribution, notify: Callable[[str], None]
) -> StepLibrary | None:
    """Return what computes the steps of a training; None for Keras.

    Args:
        choice: What was asked for; ``auto`` takes the compiled step where it can be had and the
            training has no GPU.
        recipe: Of the training.
        distribution: Its devices.
        notify: Told which it is, and why, unless Keras was asked for.

    Raises:
        StepError: If the compiled step was asked for and cannot be had.
    """
    if choice == "keras":
        return None
    try:
        if choice == "auto" and _has_gpu():
            raise StepError("a GPU is at hand")
        library = _library(recipe, distribution, notify)
    except StepError as error:
        if choice == "compiled":
            raise StepError(
                f"--step compiled: {error}; with --step keras, Keras trains it"
            ) from error
        notify(f"Keras computes the steps: {error}")
        return None
    notify(
        "compiled C++ computes the steps, with products of "
        f"{'bfloat16' if library.factor_bits == 16 else 'float32'}"
    )
    return library


def _library(
    recipe: Recipe, distribution: Distribution, notify: Callable[[str], None]
) -> StepLibrary:
    """Return the library; raise StepError where there is none for such a training."""
    if problem := shape_problem(recipe.network):
        raise StepError(f"the compiled step cannot compute this network: {problem}")
    if recipe.training.intermediate_weight:
        raise StepError("the compiled step has no training.intermediate_weight but 0")
    if distribution.devices > 1:
        raise StepError("the compiled step is for one device and host")
    return StepLibrary(built_library(notify=notify))


def _has_gpu() -> bool:
    import keras

    return not all(name.startswith("cpu") for name in keras.distribution.list_devices())
