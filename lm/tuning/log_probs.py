"""Log-probabilities of recordings, computed once and kept on disk by what decides them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from model.alphabet import Alphabet
from model.audio import read_audio
from model.bundle import SETTINGS_FILE, load_bundle
from model.corpora.manifest import Utterance
from model.errors import AudioFileError
from model.evaluation.assessment import check_recordings, unusable
from model.files import check_folder, write_output
from model.training.feature_cache import recording_identities

FORMAT = 1
"""Raised whenever the same bundle and recordings give other log-probabilities."""

DECISIVE = ("alphabet", "features", "statistics", "network", "weights_sha256")
"""What of a bundle's record decides its log-probabilities."""

Compute = Callable[[np.ndarray], np.ndarray]
"""From samples float32 (n,) to log-probabilities float32 (frames, symbols)."""


@dataclass(frozen=True)
class Acoustics:
    """A bundle as far as tuning needs it without its network.

    Attributes:
        folder: Where it is.
        name: Its name.
        alphabet: Meaning of its outputs.
        sample_rate: Of the audio that it takes, in Hz.
        frame_s: Seconds from one frame of log-probabilities to the next.
        weights_sha256: Checksum of its weights.
        key: Digest of all that decides its log-probabilities.
    """

    folder: Path
    name: str
    alphabet: Alphabet
    sample_rate: int
    frame_s: float
    weights_sha256: str
    key: str

    @classmethod
    def read(cls, folder: Path) -> Acoustics:
        """Read a bundle; raises BundleError."""
        bundle = load_bundle(folder)
        record = json.loads((folder / SETTINGS_FILE).read_bytes())
        decisive = json.dumps([FORMAT, *map(record.__getitem__, DECISIVE)], sort_keys=True)
        return cls(
            folder=folder,
            name=bundle.name,
            alphabet=bundle.alphabet,
            sample_rate=bundle.features.sample_rate,
            frame_s=bundle.network.stride * bundle.features.hop / bundle.features.sample_rate,
            weights_sha256=record["weights_sha256"],
            key=hashlib.sha256(decisive.encode()).hexdigest(),
        )

    def network(self) -> Compute:
        """Return what reads whole recordings as the live captioner's finals do."""
        from model.acoustic import AcousticModel

        model = AcousticModel.load(self.folder)
        return lambda samples: model.log_probs(model.extractor.extract(samples), final=True)


@dataclass(frozen=True)
class Scored:
    """A recording whose log-probabilities are on disk.

    Attributes:
        row: The recording with its reference.
        identity: Digest of its audio, in hexadecimal.
        path: A NumPy file of float32 (frames, symbols).
    """

    row: Utterance
    identity: str
    path: Path

    def log_probs(self) -> np.ndarray:
        """Return float32 (frames, symbols)."""
        return np.asarray(np.load(self.path, allow_pickle=False))


def score(
    rows: Sequence[Utterance],
    acoustics: Acoustics,
    cache: Path,
    compute: Callable[[], Compute] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Scored]:
    """Return the recordings with their log-probabilities; those not on disk are computed.

    They are kept by the content of the recording and of the bundle, one file each, so that
    nothing is lost by stopping and nothing stale is read.

    Args:
        rows: The recordings.
        acoustics: Of the bundle.
        cache: Folder to keep them in.
        compute: Loads the network; ``acoustics.network`` when None.  Not called where
            nothing has to be computed.
        progress: Called with the number of recordings done.

    Raises:
        AudioFileError: If recordings are missing or cannot be read, all of them named.
        UsageError: If the cache cannot be written.
    """
    check_recordings(row.audio for row in rows)
    folder = cache / acoustics.key[:16]
    check_folder(folder)
    identities = [identity.hex() for identity in recording_identities(rows)]
    scored = [
        Scored(row, identity, folder / f"{identity[:32]}.npy")
        for row, identity in zip(rows, identities, strict=True)
    ]
    missing = [item for item in scored if not _is_whole(item.path, acoustics.alphabet.size)]
    if missing:
        network = (compute or acoustics.network)()
        problems = list(_problems(missing, network, acoustics.sample_rate, progress))
        if problems:
            raise unusable(problems)
    progress(len(scored))
    return scored


def digest_of(scored: Sequence[Scored]) -> str:
    """Return a digest of recordings and their references, wherever they lie."""
    digest = hashlib.sha256()
    for item in scored:
        row = item.row
        digest.update(json.dumps([row.corpus, row.speaker, row.text, item.identity]).encode())
    return digest.hexdigest()


def _problems(
    missing: Sequence[Scored],
    network: Compute,
    sample_rate: int,
    progress: Callable[[int], None],
) -> Iterator[str]:
    """Compute and write what is missing; yield what is wrong with recordings."""
    for done, item in enumerate(missing, 1):
        try:
            _write(item.path, network(read_audio(item.row.audio, sample_rate)))
        except AudioFileError as error:
            yield str(error)
        progress(done)


def _write(path: Path, log_probs: np.ndarray) -> None:
    content = BytesIO()
    np.save(content, log_probs.astype(np.float32))
    write_output(path, content.getbuffer())


def _is_whole(path: Path, symbols: int) -> bool:
    """Whether a file holds log-probabilities of so many symbols, not cut short."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, OSError, ValueError):
        return False
    return found.ndim == 2 and found.shape[1] == symbols and found.dtype == np.float32
