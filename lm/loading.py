"""A language model together with the settings that were tuned for it."""

from __future__ import annotations

from pathlib import Path

from lm.beam import BeamDecoder
from lm.bundle import LanguageBundle, is_bundle
from lm.language_model import LanguageModel
from lm.tuned import TUNED_FILE, TunedDecoder, read_tuned
from model.alphabet import Alphabet


def load_tuned(path: Path, unigrams: Path | None = None) -> tuple[LanguageModel, TunedDecoder]:
    """Load a language model and the settings of the search beside it, defaults where none are.

    Args:
        path: As in :meth:`LanguageModel.load`; a folder of ``lm.build`` is checked.
        unigrams: The known words, one a line.

    Raises:
        LanguageModelError: If a file is missing, damaged or of no known format.
        SettingsError: If the tuned settings have unusable values.
    """
    if is_bundle(path):
        tuned = LanguageBundle.load(path).tuned
    else:
        file = path / TUNED_FILE
        tuned = read_tuned(file) if file.is_file() else TunedDecoder()
    return LanguageModel.load(path, unigrams), tuned


def load_decoder(path: Path, alphabet: Alphabet) -> BeamDecoder:
    """Return the beam search with a language model and its tuned settings.

    Raises:
        LanguageModelError: As :func:`load_tuned`.
        SettingsError: Likewise.
    """
    model, tuned = load_tuned(path)
    return BeamDecoder(alphabet, model, tuned.search, calibration=tuned.calibration)
