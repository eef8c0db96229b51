"""Train the captioner's acoustic model.  See ``--help``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while the libraries start has nothing to say.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from model.backend import BACKENDS
from model.commands.arguments import add_settings, count, number
from model.commands.common import RecipeOptions
from model.commands.export import FORMATS, ExportOptions, export
from model.commands.statistics import show_statistics
from model.commands.terminal import Terminal
from model.corpora.layouts import LAYOUTS
from model.corpora.manifest import SOURCES, checked_weight
from model.engines.engine import AUTO, ENGINES
from model.errors import CaptionerError
from model.parts import training_parts
from model.recipe import Recipe
from model.settings import load_settings
from model.training.checkpoint import CHOICES
from model.training.mixture import HALF
from model.variation.noises import COLOURS

if TYPE_CHECKING:
    import numpy as np

    from model.alphabet import Alphabet

EXAMPLES = """\
examples:
  train.py manifest LibriSpeech/train-clean-5 --output train.jsonl
  train.py stats train.jsonl
  train.py perturb speech.wav --output perturbed.wav --seed 3
  train.py fit --manifest train.jsonl --dev dev.jsonl --output runs/first
  train.py fit --init runs/first/bundle --manifest me.jsonl --base train.jsonl \\
      --dev my-dev.jsonl --output runs/mine
  train.py evaluate --bundle runs/first/bundle --manifest dev.jsonl --output reports/first
  train.py export --run runs/first --output models/english
  train.py export --bundle models/english --format onnx --output english.onnx

KERAS_BACKEND=jax trains with JAX instead of TensorFlow; bundles serve both.

exit codes: 0 finished, 1 failed or stopped while running, 2 wrong usage or input
"""

SMALLER = "give shorter recordings, or smaller sizes in the recipe"


def main(arguments: Sequence[str] | None = None, terminal: Terminal | None = None) -> int:
    """Run one command and return the exit code."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    options = parser().parse_args(arguments)
    os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow warns of batch shapes that are compiled on purpose, Matplotlib of a home
    # folder that it cannot write to.
    for library in ("tensorflow", "matplotlib"):
        logging.getLogger(library).setLevel(logging.ERROR)
    terminal = terminal or Terminal()
    try:
        with training_parts():
            finished = _run(options, terminal)
    except CaptionerError as error:
        terminal.say(f"train.py: error: {error}")
        return error.exit_code
    except MemoryError as error:
        terminal.say(f"train.py: error: there is too little memory ({error}); {SMALLER}")
        return 1
    except KeyboardInterrupt:
        terminal.say("train.py: stopped")
        return 1
    return 0 if finished else 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="Train the captioner's acoustic model: from recordings to a model bundle.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, add_options, description in (
        ("manifest", _add_manifest_options, "write a manifest of the recordings in folders"),
        ("stats", _add_stats_options, "show what manifests hold"),
        ("features", _add_features_options, "show or draw the features of a recording"),
        ("perturb", _add_perturb_options, "write a recording as the training may hear it"),
        ("fit", _add_fit_options, "train, or go on with a training"),
        ("evaluate", _add_evaluate_options, "measure a model's errors on whole recordings"),
        ("export", _add_export_options, "make a bundle of a training, or a network for others"),
    ):
        add_options(
            subparsers.add_parser(
                name,
                help=description,
                description=f"{description.capitalize()}.",
                allow_abbrev=False,
            )
        )
    return parser


def _add_manifest_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        type=Path,
        help="folder of LibriSpeech (*.trans.txt), Common Voice or LJSpeech, or with a .txt "
        "beside each recording; a table of Common Voice (.tsv); a manifest (.jsonl)",
    )
    parser.add_argument(
        "--output", metavar="FILE", type=Path, required=True, help="manifest to write (.jsonl)"
    )
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="",
        help="how the sources lie on disk (default: each is recognised)",
    )
    parser.add_argument(
        "--subset",
        metavar="NAME",
        default="",
        help="table of a Common Voice folder, such as train or validated",
    )
    parser.add_argument(
        "--corpus",
        metavar="NAME",
        default="",
        help="name of the corpus (default: the folder's; commonvoice for Common Voice; "
        "a manifest's own)",
    )
    parser.add_argument(
        "--weight",
        metavar="W",
        type=_row_weight,
        help="weight of the rows in the loss, above 0, at most 100 (default: 1, or a manifest's)",
    )
    parser.add_argument(
        "--source",
        choices=SOURCES,
        default="",
        help="say that a recogniser wrote the transcripts, or that a synthesiser spoke",
    )
    _add_manifests(
        parser,
        "--dev",
        "manifests whose recordings and speakers must not be among these",
        required=False,
    )
    parser.add_argument(
        "--check-audio",
        action="store_true",
        help="decode every recording to its end, to find damage that its header does not show",
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out what cannot be used, and say how much"
    )


def _add_stats_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "manifests", metavar="MANIFEST", nargs="+", type=Path, help="manifest to look at"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="write the mean and deviation of the features too (.npz)",
    )
    _add_recipe_options(parser)


def _add_features_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("audio", metavar="AUDIO", type=Path, help="recording to look at")
    parser.add_argument(
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw waveform, spectrogram, log-mels and MFCC into a picture (.png, .svg, .pdf, ...)",
    )
    add_settings(parser, "configs/train.yaml", "training.minutes=30")


def _add_perturb_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("audio", metavar="AUDIO", type=Path, help="recording to change")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, required=True, help="file to write: .wav or .flac"
    )
    parser.add_argument(
        "--seed", metavar="N", type=count, default=1, help="decides the changes (default: 1)"
    )
    _add_recipe_options(parser)


def _add_fit_options(parser: argparse.ArgumentParser) -> None:
    _add_manifests(parser, "--manifest", "manifests to learn from")
    _add_manifests(parser, "--dev", "manifests to judge by after every pass; never learnt from")
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        type=Path,
        required=True,
        help="folder for checkpoints, the logs and the finished bundle; "
        "a training found there goes on where it was",
    )
    parser.add_argument(
        "--init",
        metavar="FOLDER",
        type=Path,
        help="model bundle to start from: fine-tuning, gentle unless --config says otherwise "
        "(configs/finetune.yaml)",
    )
    _add_manifests(
        parser,
        "--base",
        "manifests that each pass draws training.base_share of its speech from, "
        "so that fine-tuning forgets less",
        required=False,
    )
    parser.add_argument(
        "--stats",
        metavar="FILE",
        type=Path,
        help="feature statistics of train.py stats (default: those of the training manifests)",
    )
    parser.add_argument(
        "--step",
        choices=("auto", "compiled", "keras"),
        default="auto",
        help="what computes the steps: C++ compiled here, several times faster on a processor, or "
        "Keras; auto takes C++ where it can (default: auto); a training may go on with either",
    )
    _add_recipe_options(parser)
    _add_distribution_options(parser)


def _add_distribution_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--devices",
        metavar="N",
        type=count,
        default=0,
        help="devices of this host to train on (default: all GPUs, or else one CPU)",
    )
    parser.add_argument(
        "--hosts",
        metavar="HOST:PORT",
        nargs="+",
        default=[],
        help="every host that shares the training, the same list on each (default: those of "
        "TF_CONFIG, or this one alone; see docs/distributed.md)",
    )
    parser.add_argument(
        "--host-index",
        metavar="N",
        type=int,
        help="which of --hosts this one is, from 0 on; host 0 writes all files",
    )


def _add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bundle", metavar="FOLDER", type=Path, required=True, help="model bundle to judge"
    )
    _add_manifests(parser, "--manifest", "manifests to judge it by")
    parser.add_argument(
        "--language-model",
        metavar="PATH",
        type=Path,
        help="read with the beam search and this language model, such as models/language: a "
        "folder of lm.build, an ARPA or a KenLM binary file (default: the best symbol of each "
        "frame)",
    )
    parser.add_argument(
        "--output",
        metavar="PATH",
        type=Path,
        help="write the figures too: a .json or .md file, or a folder for both and pictures",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=count,
        default=0,
        help="use the first N recordings of each corpus (default: all)",
    )
    parser.add_argument(
        "--noise",
        metavar="DB",
        nargs="+",
        type=number(-50, 100),
        default=[],
        help="recognise all of it again with noise, at each of these signal-to-noise ratios",
    )
    noise = parser.add_mutually_exclusive_group()
    noise.add_argument(
        "--noise-kind",
        choices=list(COLOURS),
        default="pink",
        help="computed noise to add (default: %(default)s)",
    )
    noise.add_argument(
        "--noise-folder",
        metavar="FOLDER",
        type=Path,
        help="add pieces of the recordings in this folder in place of computed noise",
    )
    parser.add_argument(
        "--card", action="store_true", help="write the figures into the bundle's model card too"
    )
    parser.add_argument(
        "--engine",
        choices=(AUTO, *ENGINES),
        default=AUTO,
        help="what runs the network (default: auto, the fastest: onnx)",
    )


def _add_export_options(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", metavar="FOLDER", type=Path, help="folder of train.py fit")
    source.add_argument("--bundle", metavar="FOLDER", type=Path, help="model bundle")
    parser.add_argument(
        "--output",
        metavar="PATH",
        type=Path,
        required=True,
        help="what to write: a folder, or a file (.onnx, .tflite)",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="bundle for this program; the network for others: onnx, tensorflow (a SavedModel), "
        "litert (.tflite), or tensorrt (.onnx that TensorRT builds from); see docs/engines.md "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--checkpoint",
        choices=CHOICES,
        default=CHOICES[0],
        help="the one with the lowest word error rate on dev, where one was judged, or the "
        "newest (default: %(default)s)",
    )
    parser.add_argument("--name", help="name of the model (default: the last part of the output)")
    parser.add_argument(
        "--stats", metavar="FILE", type=Path, help="feature statistics, for a run without them"
    )
    _add_manifests(
        parser, "--manifest", "what it learnt from, for a run that does not say", required=False
    )
    parser.add_argument(
        "--notes",
        metavar="FILE",
        type=Path,
        help="Markdown for the model card: licences and attribution of the data",
    )
    parser.add_argument(
        "--init",
        metavar="FOLDER",
        type=Path,
        help="the model bundle that the run started from: write weights between it and the run, "
        "so that less of what it knew is forgotten",
    )
    parser.add_argument(
        "--share",
        metavar="SHARE",
        type=number(0.0, 1.0),
        help=f"of the run's weights in that mixture, 0 to 1 (default: {HALF})",
    )


def _add_manifests(
    parser: argparse.ArgumentParser, option: str, meaning: str, required: bool = True
) -> None:
    parser.add_argument(
        option,
        metavar="FILE",
        nargs="+",
        type=Path,
        required=required,
        default=[],
        help=meaning,
    )


def _add_recipe_options(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, "configs/train.yaml", "training.minutes=30")
    parser.add_argument(
        "--cache",
        metavar="FOLDER",
        type=Path,
        default=Path("cache"),
        help="where computed features are kept (default: cache)",
    )


def _row_weight(text: str) -> float:
    try:
        return checked_weight(float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a number above 0, at most 100, got {text}"
        ) from None


def _run(options: argparse.Namespace, terminal: Terminal) -> bool:
    """Carry out a command; return whether it came to its end."""
    match options.command:
        case "manifest":
            _manifest(options, terminal)
        case "stats":
            show_statistics(options.manifests, options.output, _recipe_options(options), terminal)
        case "features":
            from model.commands.features import show_features

            recipe = load_settings(Recipe, options.config, options.overrides)
            show_features(options.audio, options.plot, recipe.features, terminal)
        case "perturb":
            _perturb(options, terminal)
        case "fit":
            return _fit(options, terminal)
        case "evaluate":
            return _evaluate(options, terminal)
        case "export":
            _export(options, terminal)
    return True


def _fit(options: argparse.Namespace, terminal: Terminal) -> bool:
    from model.commands.fit import FitOptions, fit
    from model.training.hosts import find_hosts

    return fit(
        FitOptions(
            options.manifest,
            options.dev,
            options.output,
            options.stats,
            options.init,
            options.base,
            find_hosts(options.hosts, options.host_index),
            options.devices,
            options.step,
        ),
        _recipe_options(options),
        terminal,
    )


def _perturb(options: argparse.Namespace, terminal: Terminal) -> None:
    from model.commands.perturb import perturb

    recipe = _recipe_options(options).load()
    perturb(options.audio, options.output, options.seed, recipe, terminal)


def _evaluate(options: argparse.Namespace, terminal: Terminal) -> bool:
    from model.commands.evaluate import EvaluationOptions, evaluate

    return evaluate(
        EvaluationOptions(
            options.bundle,
            options.manifest,
            options.output,
            options.limit,
            options.noise,
            options.noise_kind,
            options.noise_folder,
            options.card,
            options.language_model,
            options.engine,
        ),
        terminal,
        _decoding,
    )


def _export(options: argparse.Namespace, terminal: Terminal) -> None:
    export(
        ExportOptions(
            options.output,
            options.run,
            options.bundle,
            options.format,
            options.name,
            options.stats,
            options.manifest,
            options.notes,
            options.checkpoint,
            options.init,
            options.share,
        ),
        terminal,
    )


def _decoding(language_model: Path, alphabet: Alphabet) -> Callable[[np.ndarray], str]:
    from lm.loading import load_decoder

    decoder = load_decoder(language_model, alphabet)
    return lambda log_probs: decoder.decode(log_probs).text


def _manifest(options: argparse.Namespace, terminal: Terminal) -> None:
    from model.commands.manifest import make_manifest
    from model.corpora.finding import CorpusOptions

    how = CorpusOptions(
        corpus=options.corpus,
        layout=options.layout,
        subset=options.subset,
        weight=options.weight,
        source=options.source,
        whole=options.check_audio,
    )
    make_manifest(options.sources, options.output, how, options.dev, options.skip_bad, terminal)


def _recipe_options(options: argparse.Namespace) -> RecipeOptions:
    return RecipeOptions(options.config, options.overrides, options.cache)


if __name__ == "__main__":
    sys.exit(main())
