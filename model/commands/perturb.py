"""What ``train.py perturb`` does, and the perturbed copies that ``train.py fit`` trains on."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from model.audio import read_audio
from model.commands.common import check_file
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance
from model.files import write_output
from model.recipe import Recipe
from model.training.feature_cache import CachedFeatures, cached_features
from model.variation.perturbation import Perturbation

SUFFIXES = (".wav", ".flac")


def perturb(audio: Path, output: Path, seed: int, recipe: Recipe, terminal: Terminal) -> None:
    """Write a recording as the training may hear it, 16 bits at the features' rate.

    Args:
        audio: A recording.
        output: Where the changed one goes; ``.wav`` or ``.flac``.
        seed: Decides the changes.
        recipe: Its perturbation is used, however many views it asks for.
        terminal: Says what was changed.

    Raises:
        CaptionerError: If the recording or a noise cannot be read, or ``output`` cannot
            be written.
    """
    check_file(output, SUFFIXES, [audio])
    rate = recipe.features.sample_rate
    samples = read_audio(audio, rate)
    perturbation = Perturbation(recipe.perturbation, seed)
    perturbation.check_noises()
    changes: list[str] = []
    changed = perturbation.apply(samples, rate, 0, changes.append)
    _write(output, changed, rate)
    what = ", ".join(changes) or "as it was"
    terminal.say(f"{output}: {len(changed) / rate:.2f} s of {len(samples) / rate:.2f} s: {what}")


def perturbed_features(
    rows: Sequence[Utterance], recipe: Recipe, cache: Path, terminal: Terminal
) -> list[CachedFeatures]:
    """Return the features of every perturbed view of ``rows``, computed where they are lacking.

    Args:
        rows: Utterances to learn from.
        recipe: Decides how many views there are, and their changes.
        cache: Folder of cached features and of simulated rooms.
        terminal: Shows how far it is.

    Raises:
        CaptionerError: If the recordings or the noises cannot be used, or the cache
            cannot be written.
    """
    settings, views = recipe.perturbation, []
    for number in range(1, settings.views + 1):
        perturbation = Perturbation(settings, number, cache)
        with terminal.counting("rooms", settings.rooms) as progress:
            perturbation.prepare(recipe.features.sample_rate, progress)
        with terminal.counting(f"features, perturbed {number}", len(rows)) as progress:
            views.append(
                cached_features(rows, recipe.features, cache, progress, perturbation=perturbation)
            )
    return views


def _write(path: Path, samples: np.ndarray, rate: int) -> None:
    file = BytesIO()
    soundfile.write(file, samples, rate, "PCM_16", format=path.suffix[1:].upper())
    write_output(path, file.getbuffer())
