"""The network on a GPU, by ONNX Runtime's execution providers for CUDA and TensorRT."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from model.bundle import ModelBundle
from model.engines.engine import can_stream
from model.engines.execution import PROVIDERS, Execution
from model.engines.onnx_graph import utterance_graph
from model.engines.profile import LONGEST_FRAMES, ShapeProfile, profile_of
from model.errors import EngineError, UsageError
from model.files import cache_home, private_folder
from model.quiet import quiet_stderr
from model.recipe import NetworkSettings

CACHED_NETWORKS = 6
"""Networks whose TensorRT engines are kept; those used longest ago go."""

WORKSPACE_BYTES = 512 * 1024 * 1024
"""Memory that TensorRT may try layers in: a Jetson's GPU shares the machine's."""

Options = dict[str, str]


class UtteranceEngine:
    """A network as a session of ONNX Runtime that reads one utterance at a time.

    The utterances of a batch are read one after the other, each at its own length.

    Args:
        bundle: Settings and weights.
        name: Of the engine.
        session: Of the bundle's :func:`model.engines.onnx_graph.utterance_graph`.
    """

    def __init__(self, bundle: ModelBundle, name: str, session: Any) -> None:
        self.name = name
        self._network = bundle.network
        self._session = session

    @property
    def streams(self) -> bool:
        """Whether :meth:`window` works; see :class:`model.engines.engine.Engine`."""
        return can_stream(self._network)

    def logits(self, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Read whole utterances; see :meth:`model.engines.engine.Engine.logits`.

        Raises:
            UsageError: If one is longer than the engine was built for.
            EngineError: If the GPU fails.
        """
        network = self._network
        frames = network.output_frames(features.shape[1])
        found = np.zeros((len(lengths), frames, network.symbols), np.float32)
        silence = np.zeros((network.layers, network.units), np.float32)
        for row, length in enumerate(map(int, lengths)):
            (read,) = self._run(["logits"], features[row, :length], 0, silence)
            found[row, : read.shape[1]] = read[0]
        return found

    def window(
        self, features: np.ndarray, skipped: int, states: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a part of an utterance; see :meth:`model.engines.engine.Engine.window`."""
        logits, forward = self._run(["logits", "forward"], features, skipped, states)
        return logits[0], forward[:, :, 0]

    def _run(
        self, outputs: list[str], features: np.ndarray, skipped: int, states: np.ndarray
    ) -> list[np.ndarray]:
        if len(features) > LONGEST_FRAMES:
            raise UsageError(
                f"--engine {self.name}: reads {LONGEST_FRAMES} frames at once at most, got "
                f"{len(features)}; give shorter recordings, or --engine onnx"
            )
        inputs = utterance_inputs(self._network, features, skipped, states)
        try:
            found: list[np.ndarray] = self._session.run(outputs, inputs)
        except Exception as error:  # ONNX Runtime's have no base of their own.
            raise EngineError(
                f"--engine {self.name}: the GPU failed: {_first_line(error)}; use --engine onnx"
            ) from error
        return found


def load_device(
    bundle: ModelBundle, name: str, execution: Execution | None = None
) -> UtteranceEngine:
    """Return an engine that runs on a GPU.

    ONNX Runtime is told to put no operator on the processor, and to raise where it would:
    what runs, runs on the GPU.

    Args:
        bundle: Settings and weights.
        name: ``cuda`` or ``tensorrt``.
        execution: On which GPU, and how.

    Raises:
        EngineError: If it cannot run here; the message has the reason and the remedy.
    """
    model = utterance_graph(bundle).SerializeToString()
    profile = profile_of(bundle.network)
    options = provider_options(name, model, profile, execution or Execution())
    engine = UtteranceEngine(bundle, name, device_session(model, name, options))
    # The first run is the slowest by far; better now than when somebody speaks.
    silence = np.zeros(profile.usual["features"], np.float32)
    engine.logits(silence, np.array([silence.shape[1]], np.int32))
    return engine


def utterance_inputs(
    network: NetworkSettings, features: np.ndarray, skipped: int, states: np.ndarray
) -> dict[str, np.ndarray]:
    """Return what :func:`model.engines.onnx_graph.utterance_graph` takes for a window.

    Args:
        network: Whose graph it is.
        features: Normalised, float32 (frames, size).
        skipped: Output frames that only the convolutions read.
        states: float32 (layers, units).
    """
    inputs = {
        "features": np.ascontiguousarray(features[None]),
        "kept": np.arange(skipped, network.output_frames(len(features)), dtype=np.int32),
    }
    if can_stream(network):
        inputs["states"] = np.ascontiguousarray(states[:, None])
    return inputs


def provider_options(
    name: str, model: bytes, profile: ShapeProfile, execution: Execution
) -> Options:
    """Return the options of the execution provider of an engine.

    Raises:
        EngineError: If the folder for TensorRT's engines cannot be made or is not safe.
    """
    if name == "cuda":
        return _cuda_options(execution)
    return _tensorrt_options(profile, execution, engine_folder(execution, model))


def _cuda_options(execution: Execution) -> Options:
    return {
        "device_id": str(execution.device),
        # Lengths change from call to call: memory grows by what is asked, and no time is
        # spent on finding the fastest convolution for each length.
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "do_copy_in_default_stream": "1",
        "use_tf32": "0",
    }


def _tensorrt_options(profile: ShapeProfile, execution: Execution, folder: Path) -> Options:
    return {
        "device_id": str(execution.device),
        "trt_fp16_enable": str(int(execution.half)),
        "trt_max_workspace_size": str(WORKSPACE_BYTES),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
        "trt_profile_min_shapes": profile.text("shortest"),
        "trt_profile_opt_shapes": profile.text("usual"),
        "trt_profile_max_shapes": profile.text("longest"),
    }


def engine_folder(execution: Execution, model: bytes) -> Path:
    """Make and return the folder of a network's TensorRT engines, for its owner only.

    Each network has its own, named by a hash of all of it: ONNX Runtime names an engine by
    the graph alone, and would take that of other weights.

    Raises:
        EngineError: If it cannot be made, or belongs to others or can be written by them, who
            could then put there what runs as this user.
    """
    parent = execution.cache or cache_home() / "live-captioner" / "engines"
    folder = parent.expanduser() / hashlib.sha256(model).hexdigest()[:16]
    try:
        for each in (folder.parent, folder):
            private_folder(each)
        os.utime(folder)
        _forget_others(folder)
    except OSError as error:
        raise EngineError(
            f"{folder}: cannot hold TensorRT's engines ({error.strerror or error}); give another "
            "folder with --set execution.cache=FOLDER"
        ) from error
    return folder


def _forget_others(folder: Path) -> None:
    """Remove the folders used longest ago, beyond :data:`CACHED_NETWORKS`."""
    known = [each for each in folder.parent.iterdir() if _is_cache(each)]
    known.sort(key=lambda each: each.stat().st_mtime, reverse=True)
    for each in known[CACHED_NETWORKS:]:
        shutil.rmtree(each, ignore_errors=True)


def _is_cache(folder: Path) -> bool:
    name = folder.name
    return len(name) == 16 and set(name) <= set("0123456789abcdef") and folder.is_dir()


def device_session(model: bytes, name: str, options: Mapping[str, str]) -> Any:
    """Return a session whose every operator runs on the GPU.

    Raises:
        EngineError: If there is none.
    """
    provider = PROVIDERS[name]
    settings = onnxruntime.SessionOptions()
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    settings.log_severity_level = 4
    try:
        with quiet_stderr():
            session = onnxruntime.InferenceSession(
                model, settings, providers=[(provider, dict(options))], enable_fallback=False
            )
    except Exception as error:  # ONNX Runtime's have no base of their own.
        raise EngineError(
            f"--engine {name}: ONNX Runtime cannot run the whole network by {provider}: "
            f"{_first_line(error)}; its libraries must be those that this ONNX Runtime was built "
            "for (see docs/jetson.md); use --engine onnx until then"
        ) from error
    # It may leave a provider out that does not start, and tell its log alone.
    if session.get_providers()[:1] != [provider]:
        raise EngineError(
            f"--engine {name}: ONNX Runtime could not start {provider} and would use "
            f"{', '.join(session.get_providers())}; install the libraries that it needs (see "
            "docs/jetson.md), or use --engine onnx"
        )
    session.disable_fallback()
    return session


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
