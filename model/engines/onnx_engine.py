"""The network in ONNX Runtime, on one thread of the processor."""

from __future__ import annotations

import numpy as np
import onnxruntime

from model.bundle import ModelBundle
from model.engines.engine import can_stream
from model.engines.onnx_graph import network_graph


class OnnxEngine:
    """A network as a session of ONNX Runtime.

    It takes one thread, so that capture, features and decoding have the others: the
    recurrent layers, most of the work, go frame by frame anyway.

    Args:
        bundle: Settings and weights.
        model: The bundle's :func:`network_graph`, serialised; made anew when None.
    """

    name = "onnx"

    def __init__(self, bundle: ModelBundle, model: bytes | None = None) -> None:
        self._network = bundle.network
        self._session = onnxruntime.InferenceSession(
            model or network_graph(bundle).SerializeToString(),
            _options(),
            ["CPUExecutionProvider"],
        )

    @property
    def streams(self) -> bool:
        """Whether :meth:`window` works; see :class:`model.engines.engine.Engine`."""
        return can_stream(self._network)

    def logits(self, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Read whole utterances; see :meth:`model.engines.engine.Engine.logits`."""
        states = np.zeros((self._network.layers, len(lengths), self._network.units), np.float32)
        (logits,) = self._run(["logits"], features, lengths, 0, states)
        return logits

    def window(
        self, features: np.ndarray, skipped: int, states: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a part of an utterance; see :meth:`model.engines.engine.Engine.window`."""
        lengths = np.array([len(features)], np.int32)
        outputs = ["logits", "forward"]
        logits, forward = self._run(outputs, features[None], lengths, skipped, states[:, None])
        return logits[0], forward[:, :, 0]

    def _run(
        self,
        outputs: list[str],
        features: np.ndarray,
        lengths: np.ndarray,
        skipped: int,
        states: np.ndarray,
    ) -> list[np.ndarray]:
        inputs = {
            "features": features,
            "lengths": lengths,
            "skipped": np.array([skipped], np.int32),
            "states": states,
        }
        found: list[np.ndarray] = self._session.run(outputs, inputs)
        return found


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Lengths change from call to call; planned memory would grow with the longest.
    options.enable_mem_pattern = options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return options
