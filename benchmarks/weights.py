"""Measure what smaller weights cost: errors, size and time of the greedy reading.

    python benchmarks/weights.py --manifest dev.jsonl \\
        --draw librispeech=60 commonvoice=40 speechocean762=20 --output weights.md

Recordings are drawn once, always alike.  Each is read as finals are, by the same network in
ONNX Runtime with its weights as

- float16: the file as it is shipped; computed in float32, as always;
- int8: the matrices rounded to 8 bits with a scale for each output, computed in float32;
- int8 products: the convolutions and the dense layer computed in 8 bits as well
  (``onnxruntime.quantization.quantize_dynamic``), which knows no GRU.

The time is processor time on one thread for each second of audio.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from benchmarks.live.arguments import parser_of
from model.acoustic import AcousticModel
from model.audio import read_audio
from model.bundle import WEIGHTS_FILE, ModelBundle, load_bundle
from model.corpora.manifest import Utterance, read_manifests
from model.engines.onnx_engine import OnnxEngine
from model.engines.onnx_graph import network_graph
from model.errors import CaptionerError, UsageError
from model.evaluation.rates import error_rates, greedy_text
from model.files import check_folder, write_output

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
| Weights | Bytes | WER, % | CER, % | Real-time factor |
| --- | ---: | ---: | ---: | ---: |"""


@dataclass(frozen=True)
class Speech:
    """Recordings, ready to read.

    Attributes:
        rows: With their references.
        features: float32 (frames, size) of each.
        audio_s: Length of all, seconds.
    """

    rows: Sequence[Utterance]
    features: Sequence[np.ndarray]
    audio_s: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; return the exit code."""
    options = _parser().parse_args(arguments)
    # The quantiser recommends another of its tools.
    logging.getLogger().setLevel(logging.ERROR)
    try:
        if options.output is not None:
            check_folder(options.output.parent)
        bundle = load_bundle(options.model)
        rows = drawn(read_manifests(options.manifest), dict(options.draw))
        text = "\n".join([HEAD, *measure(bundle, options.model, load(bundle, rows))]) + "\n"
        print(text, end="")
        if options.output is not None:
            write_output(options.output, text.encode())
    except CaptionerError as error:
        print(f"weights.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(__doc__)
    parser.add_argument("--model", metavar="FOLDER", type=Path, default=ROOT / "models" / "default")
    parser.add_argument("--manifest", metavar="FILE", nargs="+", type=Path, required=True)
    parser.add_argument(
        "--draw",
        metavar="CORPUS=N",
        nargs="+",
        type=_share,
        default=[],
        help="recordings to draw of each corpus (default: all of all)",
    )
    parser.add_argument("--output", metavar="FILE", type=Path, help="Markdown file to write")
    return parser


def _share(text: str) -> tuple[str, int]:
    corpus, _, number = text.rpartition("=")
    if not corpus or not number.isdecimal() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"must be a corpus and a number as a=60, got {text}")
    return corpus, int(number)


def drawn(rows: Sequence[Utterance], counts: Mapping[str, int]) -> list[Utterance]:
    """Return so many of each corpus, drawn at random but always alike; all where none is named."""
    if not counts:
        return list(rows)
    kept = []
    for corpus, count in counts.items():
        of_corpus = [row for row in rows if row.corpus == corpus]
        if not of_corpus:
            raise UsageError(f"--draw: no recording is of {corpus}")
        order = np.random.default_rng(1).permutation(len(of_corpus))[:count]
        kept += [of_corpus[place] for place in sorted(order)]
    return kept


def load(bundle: ModelBundle, rows: Sequence[Utterance]) -> Speech:
    """Return recordings with their features."""
    extractor = AcousticModel(bundle).extractor
    rate = bundle.features.sample_rate
    samples = [read_audio(row.audio, rate) for row in rows]
    features = [extractor.extract(each) for each in samples]
    return Speech(rows, features, sum(map(len, samples)) / rate)


def measure(bundle: ModelBundle, folder: Path, speech: Speech) -> list[str]:
    """Return a row of the table for each kind of weights."""
    rounded, int8_bytes = with_int8(bundle)
    products = int8_products(bundle)
    shipped_bytes = (folder / WEIGHTS_FILE).stat().st_size
    return [
        _row("float16", shipped_bytes, bundle, OnnxEngine(bundle), speech),
        _row("int8", int8_bytes, bundle, OnnxEngine(rounded), speech),
        _row("int8 products", len(products), bundle, OnnxEngine(bundle, products), speech),
    ]


def _row(name: str, size: int, bundle: ModelBundle, engine: OnnxEngine, speech: Speech) -> str:
    model = AcousticModel(bundle, engine)
    began = time.process_time()
    texts = [
        greedy_text(model.log_probs(features, final=True), bundle.alphabet)
        for features in speech.features
    ]
    spent_s = time.process_time() - began
    rates = error_rates([row.text for row in speech.rows], texts)
    return (
        f"| {name} | {size:,} | {100 * rates.wer:.2f} | {100 * rates.cer:.2f} "
        f"| {spent_s / speech.audio_s:.4f} |"
    )


def with_int8(bundle: ModelBundle) -> tuple[ModelBundle, int]:
    """Return a bundle whose matrices are rounded to 8 bits, and the bytes of them in a file.

    Each column, which makes one output, has a scale of its own; biases and what
    normalises stay float16.
    """
    weights, kept = {}, {}
    for name, values in bundle.weights.items():
        if not name.endswith("kernel"):
            weights[name], kept[name] = values, values.astype(np.float16)
            continue
        highest = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
        scale = np.where(highest > 0, highest, 1).astype(np.float32) / 127
        rounded = np.round(values / scale).astype(np.int8)
        weights[name] = rounded * scale
        kept |= {name: rounded, f"{name}_scale": scale}
    file = io.BytesIO()
    np.savez(file, **kept)
    return replace(bundle, weights=weights), len(file.getvalue())


def int8_products(bundle: ModelBundle) -> bytes:
    """Return the graph with what ONNX Runtime can compute in 8 bits computed so."""
    with TemporaryDirectory() as folder:
        whole, smaller = Path(folder) / "whole.onnx", Path(folder) / "smaller.onnx"
        onnx.save(network_graph(bundle), whole)
        quantize_dynamic(whole, smaller, per_channel=True, weight_type=QuantType.QInt8)
        return smaller.read_bytes()


if __name__ == "__main__":
    sys.exit(main())
