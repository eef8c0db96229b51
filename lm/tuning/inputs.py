"""What a tuning starts from: recordings with their log-probabilities, a language model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lm.bundle import BINARY_FILE
from lm.language_model import LanguageModel
from lm.loading import check_model
from lm.tuning.decoders import BeamMaker
from lm.tuning.log_probs import Acoustics, Scored, digest_of, score
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance, read_manifests
from model.errors import UsageError
from model.evaluation.assessment import first_of_each
from model.evaluation.report import UNNAMED

PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """Where a tuning's inputs are.

    Attributes:
        manifests: Recordings with their references.
        model: Bundle of the acoustic model.
        language_model: A folder of ``lm.build``, an ARPA or a KenLM binary file.
        unigrams: Its words, where no other file lists them.
        cache: Folder for log-probabilities.
        corpora: Choose settings by these corpora only; by all when empty.
        limit: Use the first recordings of each corpus; all when 0.
    """

    manifests: Sequence[Path]
    model: Path
    language_model: Path
    unigrams: Path | None = None
    cache: Path = Path("cache/log-probabilities")
    corpora: Sequence[str] = ()
    limit: int = 0


@dataclass(frozen=True)
class Inputs:
    """What is tuned on.

    Attributes:
        acoustics: Of the acoustic model.
        make_decoder: Makes decoders over the language model.
        language_model_sha256: Of the n-gram file, and of a list of words given with it.
        scored: All recordings.
        chosen: Those that settings are chosen by.
    """

    acoustics: Acoustics
    make_decoder: BeamMaker
    language_model_sha256: str
    scored: Sequence[Scored]
    chosen: Sequence[Scored]

    @property
    def data(self) -> str:
        """Digest of all that decides what comes of a trial."""
        parts = (self.acoustics.key, self.language_model_sha256, digest_of(self.chosen))
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def load_inputs(source: Source, terminal: Terminal) -> Inputs:
    """Read and check all inputs, the cheap ones first; compute what log-probabilities lack.

    Raises:
        CaptionerError: If one of them cannot be used.
    """
    acoustics = Acoustics.read(source.model)
    check_model(source.language_model, source.unigrams)
    LanguageModel.load(source.language_model, source.unigrams)
    rows = read_manifests(source.manifests, acoustics.alphabet)
    rows = first_of_each(rows, source.limit) if source.limit else rows
    _check_corpora(source.corpora, rows)
    with terminal.counting("acoustic model", len(rows)) as progress:
        scored = score(rows, acoustics, source.cache, progress=progress)
    return Inputs(
        acoustics=acoustics,
        make_decoder=BeamMaker(acoustics.alphabet, source.language_model, source.unigrams),
        language_model_sha256=_digest(source.language_model, source.unigrams),
        scored=scored,
        chosen=[item for item in scored if item.row.corpus in source.corpora or not source.corpora],
    )


def _check_corpora(wanted: Sequence[str], rows: Sequence[Utterance]) -> None:
    there = dict.fromkeys(row.corpus for row in rows)
    for name in wanted:
        if name not in there:
            names = ", ".join(corpus or UNNAMED for corpus in there)
            raise UsageError(f"--corpus {name}: no recording is of it; the manifests have {names}")


def _digest(language_model: Path, unigrams: Path | None) -> str:
    """Return the SHA-256 of the n-gram file, with a list of words of its own where given."""
    digest = hashlib.sha256()
    binary = language_model / BINARY_FILE if language_model.is_dir() else language_model
    for path in (binary, unigrams):
        if path is not None:
            with path.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    digest.update(piece)
    return digest.hexdigest()
