"""Features in, log-probabilities of symbols out, with the network of a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.bundle import ModelBundle, load_bundle
from model.engines.engine import AUTO, Engine, context_frames, load_engine
from model.engines.execution import Execution
from model.features import FeatureExtractor


@dataclass(frozen=True)
class Windows:
    """Where an utterance that grows is frozen, in output frames.

    Attributes:
        every: Frames frozen at a time.
        after: Frames that must follow on them before they are.
    """

    every: int
    after: int

    @classmethod
    def lasting(cls, every_ms: float, after_ms: float, frame_s: float) -> Windows:
        """Return the windows nearest to these lengths, for frames of ``frame_s`` seconds."""
        return cls(max(1, round(every_ms / 1000 / frame_s)), round(after_ms / 1000 / frame_s))


@dataclass(frozen=True)
class Reading:
    """What is known of an utterance so far.

    Attributes:
        log_probs: float32 (output frames, symbols).
        frozen: How many frames at the beginning no later reading changes.
    """

    log_probs: np.ndarray
    frozen: int


class AcousticModel:
    """A bundle with its network ready to run; immutable, shared by all sessions.

    Args:
        bundle: Settings and weights.
        engine: What runs the network; the fastest if None.
    """

    def __init__(self, bundle: ModelBundle, engine: Engine | None = None) -> None:
        self.bundle = bundle
        self.engine = engine or load_engine(bundle)
        self.extractor = FeatureExtractor(bundle.features)

    @classmethod
    def load(
        cls, path: str | Path, engine: str = AUTO, execution: Execution | None = None
    ) -> AcousticModel:
        """Load a bundle and its network.

        Args:
            path: The bundle's folder.
            engine: Name of what runs the network.
            execution: How an engine on a GPU runs.

        Raises:
            BundleError: If the bundle cannot be used.
            EngineError: If the engine cannot run on this machine.
            UsageError: If there is no such engine.
        """
        bundle = load_bundle(path)
        return cls(bundle, load_engine(bundle, engine, execution))

    @property
    def frame_samples(self) -> int:
        """Audio samples from one frame of log-probabilities to the next."""
        return self.stride * self.bundle.features.hop

    @property
    def stride(self) -> int:
        """Feature frames in a frame of log-probabilities."""
        return self.bundle.network.stride

    @property
    def pauses(self) -> tuple[int, ...]:
        """The symbols that stand for no letter: the blank and the space."""
        return 0, *(
            label for label, symbol in enumerate(self.bundle.alphabet.symbols) if symbol == " "
        )

    def log_probs(self, features: np.ndarray, final: bool = False) -> np.ndarray:
        """Return the log-probabilities of an utterance.

        Args:
            features: float32 (frames, size), as the extractor gives them.
            final: Whether to read with more care: once from each of the first
                ``network.stride`` frames, as they all are as good a start, with the
                mean of the log-probabilities.  It costs about two to three times as much.

        Returns:
            float32 (``network.output_frames(frames)``, symbols).
        """
        if len(features) == 0:
            return np.zeros((0, self.bundle.network.symbols), np.float32)
        normalised = self.bundle.statistics.normalise(features)
        starts = min(self.bundle.network.stride, len(normalised)) if final else 1
        lengths = len(normalised) - np.arange(starts, dtype=np.int32)
        readings = np.zeros((starts, *normalised.shape), np.float32)
        for start, length in enumerate(lengths):
            readings[start, :length] = normalised[start:]
        scores = log_softmax(self.engine.logits(readings, lengths))
        shared = self.bundle.network.output_frames(int(lengths[-1]))
        mean = log_softmax(scores[:, :shared].mean(axis=0))
        # The later starts may end a frame earlier; there the first reading stands alone.
        return np.concatenate([mean, scores[0, shared:]])

    def session(self, windows: Windows | None = None) -> AcousticSession:
        """Start an utterance with its own state.

        Args:
            windows: Where it is frozen while it grows; nowhere if None.
        """
        return AcousticSession(self, windows)


class AcousticSession:
    """One utterance whose features arrive in pieces.

    The network reads in both directions, so what comes next changes what was heard
    before, less and less the longer ago it was.  Frames that have seen enough of the
    future are therefore frozen, at places that depend on ``windows`` alone: later
    readings begin behind them, at the *anchor*, with the states that the forward
    layers had there, and the backward layers begin at the newest frame.  So the cost
    of a reading does not grow with the utterance.  It is the latency-controlled
    bidirectional network of Zhang et al., Highway long short-term memory RNNs for
    distant speech recognition (2016), with the forward states carried in every layer
    and chunks that are read again until they are frozen.

    Owns all its features, the log-probabilities of the frozen frames, and the states
    at the anchor.

    Args:
        model: Shared.
        windows: Where it is frozen; nowhere if None, or if the engine cannot.
    """

    def __init__(self, model: AcousticModel, windows: Windows | None = None) -> None:
        self._model = model
        self._windows = windows if model.engine.streams else None
        network = model.bundle.network
        self._pieces: list[np.ndarray] = []
        self._frozen = np.zeros((0, network.symbols), np.float32)
        self._states = np.zeros((network.layers, network.units), np.float32)

    def push(self, features: np.ndarray) -> None:
        """Add float32 (frames, size) that follow on what came before."""
        if len(features):
            self._pieces.append(features)

    def read(self) -> Reading:
        """Read what was pushed so far, and freeze what has seen enough of the future."""
        features = self._features()
        if self._windows is None:
            return Reading(self._model.log_probs(features), 0)
        stride, windows = self._model.stride, self._windows
        while True:
            end = (len(self._frozen) + windows.every + windows.after) * stride
            if end > len(features):
                break
            log_probs, forward = self._read_window(features[:end])
            self._frozen = np.concatenate([self._frozen, log_probs[: windows.every]])
            self._states = forward[:, windows.every - 1]
        frozen = len(self._frozen)
        if frozen * stride >= len(features):
            return Reading(self._frozen, frozen)
        tail, _ = self._read_window(features)
        return Reading(np.concatenate([self._frozen, tail]), frozen)

    def log_probs(self, frames: int | None = None, final: bool = False) -> np.ndarray:
        """Return float32 (output frames, symbols) for the first ``frames`` frames, or all.

        They are read as a whole, whatever is frozen; ``final`` is that of
        :meth:`AcousticModel.log_probs`.
        """
        return self._model.log_probs(self._features()[:frames], final)

    def _features(self) -> np.ndarray:
        if not self._pieces:
            return np.zeros((0, self._model.bundle.network.features), np.float32)
        self._pieces = [np.concatenate(self._pieces)]
        return self._pieces[0]

    def _read_window(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read from the anchor to the end of ``features``.

        Returns:
            Log-probabilities (n, symbols) and forward outputs (layers, n, units).
        """
        network = self._model.bundle.network
        anchor = len(self._frozen)
        skipped = min(anchor, context_frames(network))
        window = features[(anchor - skipped) * network.stride :]
        normalised = self._model.bundle.statistics.normalise(window, heard=features)
        logits, forward = self._model.engine.window(normalised, skipped, self._states)
        return log_softmax(logits), forward


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the logarithms of the probabilities that float32 (..., symbols) stand for."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1, keepdims=True)
    return (shifted - np.log(total)).astype(np.float32)
