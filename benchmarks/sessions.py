"""How many streams a server captions in time: more and more clients speak to it at once.

    python benchmarks/sessions.py --manifest dev.jsonl --json benchmarks/results/sessions.json

``run_live.py --web`` runs in a process of its own, anew for each number of clients.  Every
client streams other recordings, joined by pauses of a quiet room, at the pace of speech, a
message every 0.1 s.  The columns of the table:

- standing: from the end of a word, by forced alignment, to the moment from which on it stands
  in what the client was shown (user perceived latency).  Much of it is the model's own doubt:
  it is there with one client too;
- first shown: to the moment when the word was shown for the first time; it may have gone again;
- final: from the end of an utterance's last word to its final caption, the pause that ends it
  included;
- added: from the sending of the newest audio that a caption used to its coming: computing,
  waiting for other clients' computing, and the way.  This is what more clients make longer;
- words wrong, partials a second of audio, lost audio, the server's processor time in cores, and
  the most memory that it took.

A number of clients is borne where 90 in 100 of the times added are below ``--limit-s``, nothing
is lost and every client gets its summary; the first that is not ends the series.  Then one
client more than places comes, and what it is told is shown.  Clients run in processes of their
own that stand back behind the server; how late they were themselves is in the figures.
``--json FILE`` writes all of it, and a Markdown report beside it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.live.arguments import add_live_settings, carry_out, parser_of
from benchmarks.live.judging import Offline
from benchmarks.live.options import BenchOptions, conditions, json_bytes
from benchmarks.loading.report import markdown, refusal, rows, verdict
from benchmarks.loading.trial import Trial
from model.commands.arguments import count, number
from model.commands.terminal import Terminal
from model.files import write_output
from streamer.app import decoders_for, load_model
from streamer.web.socket_source import HIGHEST_RATE, LOWEST_RATE

MANIFEST = Path(__file__).resolve().parent.parent / "tests/data/speech/manifest.jsonl"

NAME = "benchmarks/sessions.py"

NUMBERS = (1, 2, 4, 6, 8, 10, 12, 16, 20, 24)


def measure(options: argparse.Namespace, terminal: Terminal) -> dict[str, Any]:
    """Measure each number of clients, say what came of it, and return all figures.

    Raises:
        CaptionerError: If something cannot be used, or the server does not start.
    """
    bench = BenchOptions(
        options.manifest,
        options.json,
        model=options.model,
        config=options.config,
        overrides=options.overrides,
    )
    bench.check_output()
    settings, recordings = bench.settings(), bench.rows()
    acoustic = load_model(settings.model, settings.engine)
    offline = Offline(acoustic, decoders_for(settings, acoustic).final)
    trial = Trial(
        recordings,
        options.seconds,
        options.rate,
        options.niceness,
        options.limit_s,
        server_arguments(options),
    )
    of_trial = {"seconds_of_each_client": options.seconds, "rate_of_clients": options.rate}
    record: dict[str, Any] = {
        "limit_s": options.limit_s,
        "runs": series(trial, sorted(options.sessions), offline, terminal),
        "refusal": trial.refusal(),
        "conditions": conditions(bench, settings, acoustic, recordings) | of_trial,
    }
    terminal.say(f"\n{verdict(record)}\n\n{refusal(record)}")
    if options.json is not None:
        write_output(options.json, json_bytes(record))
        write_output(options.json.with_suffix(".md"), markdown(record).encode())
    return record


def series(
    trial: Trial, sessions: list[int], offline: Offline, terminal: Terminal
) -> list[dict[str, Any]]:
    """Return the figures of numbers of clients, up to the first that is not borne."""
    runs: list[dict[str, Any]] = []
    for clients in sessions:
        terminal.say(f"{clients} at once: {trial.seconds:g} s and a little more …")
        runs.append(trial.run(clients, offline))
        lines = rows(runs).splitlines()
        print("\n".join(lines if len(runs) == 1 else lines[-1:]), flush=True)
        if not runs[-1]["borne"]:
            break
    return runs


def server_arguments(options: argparse.Namespace) -> list[str]:
    """Return the settings as ``run_live.py`` takes them."""
    found = []
    for name in ("model", "config"):
        if getattr(options, name) is not None:
            found += [f"--{name}", str(getattr(options, name))]
    for override in options.overrides:
        found += ["--set", override]
    return found


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = parser_of(__doc__)
    parser.add_argument(
        "--manifest", type=Path, default=MANIFEST, help="recordings (default: those of the tests)"
    )
    parser.add_argument(
        "--sessions", type=count, nargs="+", default=list(NUMBERS), metavar="N", help="of clients"
    )
    parser.add_argument(
        "--seconds", type=number(1, 3600), default=45.0, help="of audio each (default: 45)"
    )
    parser.add_argument(
        "--rate",
        type=int,
        default=48_000,
        choices=(LOWEST_RATE, 16_000, 44_100, 48_000, HIGHEST_RATE),
        help="of the clients' audio, Hz (default: 48000, as browsers send it)",
    )
    parser.add_argument(
        "--niceness", type=int, default=5, choices=range(20), metavar="N", help="of the clients"
    )
    parser.add_argument(
        "--limit-s", type=number(0.01, 60), default=1.0, help="that may be added (default: 1)"
    )
    add_live_settings(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    return parser


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser().parse_args()
    return carry_out(NAME, lambda terminal: measure(options, terminal))


if __name__ == "__main__":
    sys.exit(main())
