"""Train every network of configs/networks on the same speech and compare their errors.

    python benchmarks/networks.py --manifest train.jsonl --dev dev.jsonl --output runs/networks

Each network is trained as train.py fit trains it, in a folder of its own below --output, on the
same recordings in the same order, as often as --passes says.  --hours takes that much of the
manifests, drawn once.  The greedy errors on all of --dev are those at the end of the training.
After every network the table is written to networks.md and networks.json.

The same command goes on where an earlier one was stopped (Ctrl-C stops after a step), and trains
no network again that is finished.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model.backend import BACKENDS
from model.commands.common import RecipeOptions
from model.commands.fit import FitOptions, fit
from model.commands.terminal import Terminal
from model.corpora.manifest import Utterance, read_manifests, write_manifest
from model.errors import CaptionerError
from model.files import write_whole
from model.recipe import NetworkSettings
from model.settings import format_settings
from model.training.checkpoint import Progress, newest_checkpoint
from model.training.run_folder import digest_rows
from model.weights import weight_shapes

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ("Network", "Weights", "Hours of speech an hour", "Loss", "CER, %", "WER, %")
RESULT_FILE = "result.json"


@dataclass(frozen=True)
class Result:
    """What came of a network.

    Attributes:
        network: Name of its file.
        weights: How many it has.
        steps: Batches trained on.
        speech_hours: Hours of speech trained on, every pass counted.
        speed: Hours of speech trained on in an hour, compilations included.
        loss: Moving average of the training's loss for each label.
        cer: Greedy character error rate at the end.
        wer: Greedy word error rate at the end.
        made_from: Digest of the recipe and the recordings.
    """

    network: str
    weights: int
    steps: int
    speech_hours: float
    speed: float
    loss: float
    cer: float
    wer: float
    made_from: str

    def row(self) -> str:
        """Return a row of the table."""
        return (
            f"| {self.network} | {self.weights:,} | {self.speed:.0f} | {self.loss:.3f} "
            f"| {100 * self.cer:.1f} | {100 * self.wer:.1f} |"
        )


def main(arguments: Sequence[str] | None = None, terminal: Terminal | None = None) -> int:
    """Train what is not trained yet and print the table; return the exit code."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    terminal = terminal or Terminal()
    try:
        return _compare(options, terminal)
    except CaptionerError as error:
        terminal.say(f"networks.py: error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        terminal.say("networks.py: stopped")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("--manifest", "--dev"):
        parser.add_argument(name, metavar="FILE", nargs="+", type=Path, required=True)
    parser.add_argument("--output", metavar="FOLDER", type=Path, required=True)
    parser.add_argument(
        "--networks",
        metavar="FILE",
        nargs="+",
        type=Path,
        default=sorted((ROOT / "configs" / "networks").glob("*.yaml")),
        help="recipes to compare (default: all of configs/networks)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        default=ROOT / "configs" / "train.yaml",
        help="recipe that the others change (default: configs/train.yaml)",
    )
    parser.add_argument("--hours", metavar="H", type=float, default=0.0, help="speech to draw")
    parser.add_argument("--passes", metavar="N", type=int, default=2, help="default: 2")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides")
    parser.add_argument("--cache", metavar="FOLDER", type=Path, default=Path("cache"))
    return parser


def _compare(options: argparse.Namespace, terminal: Terminal) -> int:
    """Train the networks one after the other; a failure of one does not end the others."""
    rows = _drawn(read_manifests(options.manifest), options.hours)
    manifest = options.output / "manifest.jsonl"
    write_manifest(manifest, rows)
    recordings = digest_rows(rows) + digest_rows(read_manifests(options.dev))
    results: list[Result] = []
    code = 0
    for file in options.networks:
        try:
            result = _trained(file, manifest, recordings, options, terminal)
        except CaptionerError as error:
            terminal.say(f"{file.stem}: {error}")
            code = error.exit_code
            continue
        if result is None:
            return 1
        results.append(result)
        _write(options.output, results, sum(row.duration for row in rows) / 3600)
    print("\n".join(_table(results)))
    return code


def _drawn(rows: list[Utterance], hours: float) -> list[Utterance]:
    """Return ``hours`` of the rows, drawn at random but always alike, in their order; or all."""
    if not hours:
        return rows
    order = np.random.default_rng(1).permutation(len(rows))
    until = np.cumsum([rows[index].duration for index in order])
    return [rows[index] for index in sorted(order[: np.searchsorted(until, 3600 * hours) + 1])]


def _trained(
    file: Path, manifest: Path, recordings: str, options: argparse.Namespace, terminal: Terminal
) -> Result | None:
    """Return what came of a network, trained unless it is; None where that was stopped."""
    folder = options.output / file.stem
    budget = ["training.minutes=0", f"training.passes={options.passes}"]
    recipe_options = RecipeOptions(
        [options.config, file], [*budget, *options.overrides], options.cache
    )
    recipe = recipe_options.load()
    made_from = hashlib.sha256(f"{format_settings(recipe)}{recordings}".encode()).hexdigest()
    done = _read_result(folder / RESULT_FILE)
    if done is not None and done.made_from == made_from:
        return done
    terminal.say(f"{file.stem}:")
    if not fit(FitOptions([manifest], options.dev, folder), recipe_options, terminal):
        return None
    checkpoint = newest_checkpoint(folder, terminal.say)
    assert checkpoint is not None, "a finished training has one"
    result = _result(file.stem, recipe.network, checkpoint.progress, made_from)
    write_whole(folder / RESULT_FILE, json.dumps(asdict(result), indent=1).encode())
    _forget_network()
    return result


def _result(name: str, network: NetworkSettings, progress: Progress, made_from: str) -> Result:
    return Result(
        name,
        sum(int(np.prod(shape)) for shape in weight_shapes(network).values()),
        progress.step,
        progress.speech_s / 3600,
        progress.speech_s / progress.seconds,
        progress.loss,
        progress.cer,
        progress.wer,
        made_from,
    )


def _read_result(path: Path) -> Result | None:
    """Return what an earlier call left; None where it left nothing usable."""
    try:
        return Result(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        return None


def _forget_network() -> None:
    import keras

    keras.backend.clear_session()


def _write(folder: Path, results: Sequence[Result], hours: float) -> None:
    record = {
        "backend": os.environ["KERAS_BACKEND"],
        "processors": os.cpu_count(),
        "hours": hours,
        "networks": [asdict(result) for result in results],
    }
    write_whole(folder / "networks.json", (json.dumps(record, indent=1) + "\n").encode())
    text = [
        f"Trained on {hours:.2f} hours of speech, {_hours_seen(results)} hours with every pass "
        f"counted, on {record['backend']} and {record['processors']} processors.",
        "",
        *_table(results),
        "",
    ]
    write_whole(folder / "networks.md", "\n".join(text).encode())


def _hours_seen(results: Iterable[Result]) -> str:
    """Return the hours trained on, a range where networks left out different recordings."""
    hours = sorted({f"{result.speech_hours:.2f}" for result in results}, key=float)
    return hours[0] if len(hours) == 1 else f"{hours[0]} to {hours[-1]}"


def _table(results: Sequence[Result]) -> list[str]:
    """Return the lines of a Markdown table, the fewest errors first."""
    ordered = sorted(results, key=lambda result: result.cer)
    rule = "| --- " + "| ---: " * (len(COLUMNS) - 1) + "|"
    return [f"| {' | '.join(COLUMNS)} |", rule, *(result.row() for result in ordered)]


if __name__ == "__main__":
    sys.exit(main())
