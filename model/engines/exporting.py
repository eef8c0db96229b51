"""Write a bundle's network in the formats of other programs, checked before it is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import ModelBundle
from model.engines.engine import Engine, context_frames
from model.engines.tensorflow_engine import load_tensorflow
from model.errors import ExportError, UsageError
from model.files import check_folder, replace_folder, unwritable, write_output
from model.quiet import quiet_stderr

TOLERANCE = 1e-3
"""Largest difference of a logit to that of the reference with which a network is kept."""

DESCRIPTION_FILE = "model.json"
"""Beside a SavedModel's own files: what its inputs and outputs mean."""

SAVED_MODEL_FILE = "saved_model.pb"

CHECKED_FRAMES = 203
"""Feature frames that a network is checked with."""


def export_onnx(bundle: ModelBundle, output: Path) -> float:
    """Write an ``.onnx`` file with :func:`describe_model` as its metadata.

    Returns:
        Largest difference of a logit to that of the reference.

    Raises:
        ExportError: If it differs by more than :data:`TOLERANCE`.
        UsageError: If the file cannot be written.
    """
    check_folder(output.parent)
    from model.engines.onnx_engine import OnnxEngine
    from model.engines.onnx_graph import network_graph

    content = network_graph(bundle, _metadata(describe_model(bundle))).SerializeToString()
    error = _checked(bundle, OnnxEngine(bundle, content))
    write_output(output, content)
    return error


def export_tensorrt(bundle: ModelBundle, output: Path) -> float:
    """Write the ``.onnx`` file from which TensorRT builds an engine.

    It is :func:`model.engines.onnx_graph.utterance_graph`: one utterance at a time, in
    operators that TensorRT's parser takes.  Its metadata says besides, as ``profile``, for
    which shapes to build.  ``scripts/tensorrt_engine.py`` builds the engine on the board,
    since one runs on the kind of GPU that it was built on alone.

    Returns and raises as :func:`export_onnx`.
    """
    check_folder(output.parent)
    import onnxruntime

    from model.engines.device_engine import UtteranceEngine
    from model.engines.onnx_graph import utterance_graph
    from model.engines.profile import profile_of

    described = describe_model(bundle) | {"profile": profile_of(bundle.network).texts()}
    content = utterance_graph(bundle, _metadata(described)).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    error = _checked(bundle, UtteranceEngine(bundle, "tensorrt", session))
    write_output(output, content)
    return error


def _metadata(described: dict[str, Any]) -> dict[str, str]:
    """Return a description as the texts that an ONNX file holds."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in described.items()
    }


def export_litert(bundle: ModelBundle, output: Path) -> float:
    """Write a ``.tflite`` file, and :func:`describe_model` as ``.json`` beside it.

    Returns and raises as :func:`export_onnx`; a ``.json`` file of something else stays.
    """
    check_folder(output.parent)
    description = output.with_suffix(".json")
    _check_description(description)
    from model.engines.litert_engine import LiteRtEngine, litert_model

    content = litert_model(bundle)
    error = _checked(bundle, LiteRtEngine(bundle, content))
    write_output(output, content)
    write_output(description, _description(bundle))
    return error


def export_tensorflow(bundle: ModelBundle, output: Path) -> float:
    """Write the folder of a SavedModel, with :func:`describe_model` in ``model.json``.

    The folder appears whole; a SavedModel that was there before is replaced.

    Returns and raises as :func:`export_onnx`.
    """
    if output.exists() and not (output / SAVED_MODEL_FILE).is_file():
        raise UsageError(f"{output}: is there and is no SavedModel; give another place for it")
    check_folder(output.parent)
    temporary = output.with_name(f".{output.name}.partial")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        error = _save_tensorflow(bundle, temporary)
        replace_folder(temporary, output)
    except OSError as problem:
        raise unwritable(output, problem) from problem
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return error


def _save_tensorflow(bundle: ModelBundle, folder: Path) -> float:
    from model.engines.tensorflow_engine import TensorFlowEngine, window_function

    function = window_function(bundle)
    with quiet_stderr():
        import tensorflow as tf

        try:
            tf.saved_model.save(tf.Module(), str(folder), signatures=function)
        except tf.errors.OpError as problem:
            raise OSError(problem.message) from problem
        # Who calls the loaded function must keep what was loaded.
        loaded = tf.saved_model.load(str(folder))
    error = _checked(bundle, TensorFlowEngine(bundle, loaded.signatures["serving_default"]))
    (folder / DESCRIPTION_FILE).write_bytes(_description(bundle))
    return error


EXPORTS: dict[str, Callable[[ModelBundle, Path], float]] = {
    "onnx": export_onnx,
    "tensorflow": export_tensorflow,
    "litert": export_litert,
    "tensorrt": export_tensorrt,
}
"""What writes each format."""


def describe_model(bundle: ModelBundle) -> dict[str, Any]:
    """Return what other programs must know to use the network, as plain values.

    The meaning of each output (``alphabet``; the first is the blank of CTC), how sound becomes
    ``features`` and how these are normalised (``mean``, ``deviation``, ``prior_frames``), the
    ``network``'s shape, and the ``notes`` on the data: licences and attribution.
    """
    statistics = bundle.statistics
    return {
        "name": bundle.name,
        "alphabet": list(bundle.alphabet.symbols),
        "features": asdict(bundle.features),
        "mean": [float(value) for value in statistics.mean],
        "deviation": [float(value) for value in statistics.deviation],
        "prior_frames": statistics.prior_frames,
        "network": asdict(bundle.network),
        "context_frames": context_frames(bundle.network),
        "notes": bundle.provenance.notes,
    }


def _check_description(path: Path) -> None:
    """Raise UsageError if a file is there that is not what :func:`describe_model` says."""
    if not path.exists():
        return
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        found = None
    if not (isinstance(found, dict) and "context_frames" in found):
        raise UsageError(
            f"{path}: is there and does not describe a network; give another name, "
            "since the description would take its place"
        )


def _description(bundle: ModelBundle) -> bytes:
    return (json.dumps(describe_model(bundle), indent=1) + "\n").encode()


def _checked(bundle: ModelBundle, engine: Engine) -> float:
    """Return the largest difference of a logit to the reference's; raises ExportError."""
    error = largest_difference(bundle, engine, load_tensorflow(bundle))
    if not error <= TOLERANCE:
        raise ExportError(
            f"the network in {engine.name} differs from the reference by {error:.1e}, more than "
            f"{TOLERANCE:g}: not kept; use another format, and report this with the versions of "
            "TensorFlow and ONNX Runtime"
        )
    return error


def largest_difference(bundle: ModelBundle, engine: Engine, reference: Engine) -> float:
    """Return the largest difference of a logit between two engines, on noise; NaN if one is.

    Whole utterances are compared, and, where both engines read them, windows.
    """
    noise = np.random.default_rng(1).normal(size=(1, CHECKED_FRAMES, bundle.network.features))
    features, lengths = noise.astype(np.float32), np.array([CHECKED_FRAMES], np.int32)
    found, expected = (each.logits(features, lengths) for each in (engine, reference))
    differences = [found - expected]
    if engine.streams and reference.streams:
        shape = bundle.network.layers, bundle.network.units
        states = np.random.default_rng(2).uniform(-1, 1, shape).astype(np.float32)
        skipped = context_frames(bundle.network)
        pairs = (each.window(features[0], skipped, states) for each in (engine, reference))
        differences += [a - b for a, b in zip(*pairs, strict=True)]
    # The most of some numbers and NaN is NaN, which Python's max() may pass over.
    return float(np.max([np.abs(each).max() for each in differences]))
