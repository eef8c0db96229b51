"""A language model together with the settings that were tuned for it."""

from __future__ import annotations

from pathlib import Path

from lm.beam import BeamDecoder
from lm.bundle import BINARY_FILE, LanguageBundle, is_bundle
from lm.language_model import LanguageModel, is_binary
from lm.trial import check_binary
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
    tuned = check_model(path, unigrams)
    return LanguageModel.load(path, unigrams), tuned


def check_model(path: Path, unigrams: Path | None = None) -> TunedDecoder:
    """See that a language model can be given to KenLM; return the tuned settings beside it.

    KenLM believes its binary files, so one is compared with its checksum, or tried by
    another process where it has none.

    Args:
        path: As in :meth:`LanguageModel.load`.
        unigrams: Likewise.

    Raises:
        LanguageModelError: If a file is missing or damaged.
        SettingsError: If the tuned settings have unusable values.
    """
    if is_bundle(path):
        bundle = LanguageBundle.load(path)
        bundle.verify()
        return bundle.tuned
    file = path / BINARY_FILE if path.is_dir() else path
    if file.is_file() and is_binary(file):
        check_binary(file, unigrams if unigrams is None or unigrams.is_file() else None)
    tuned = path / TUNED_FILE
    return read_tuned(tuned) if tuned.is_file() else TunedDecoder()


def load_decoder(path: Path, alphabet: Alphabet) -> BeamDecoder:
    """Return the beam search with a language model and its tuned settings.

    Raises:
        LanguageModelError: As :func:`load_tuned`.
        SettingsError: Likewise.
    """
    model, tuned = load_tuned(path)
    return BeamDecoder(alphabet, model, tuned.search, calibration=tuned.calibration)
