"""Live captions from a microphone or a recording.  See ``--help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

DESCRIPTION = "Live captions of what the microphone hears, or of recordings as if they were live."

EXAMPLES = """\
examples:
  run_live.py                                captions of the default microphone
  run_live.py --list-devices                 which inputs there are, and their rates
  run_live.py --doctor                       what is wrong with microphone or machine
  run_live.py --device usb                   the input with "usb" in its name
  run_live.py --wav talk.mp3                 a recording, at the pace of speech
  run_live.py --wav talk.mp3 --speed max --output talk.srt
                                             subtitles, as fast as it goes
  run_live.py --hotword "Ada Lovelace" --hotword Babbage:12 --hotwords names.txt
                                             names to listen for
  run_live.py --output talk.jsonl --record talk.flac
                                             keep every event and the audio
  run_live.py --output captions.jsonl --rotate day --log live.log
                                             for years: a file a day, and a log
  run_live.py --private                      captions that leave nothing on a disk
  run_live.py --web                          captions in a browser, at http://127.0.0.1:5000

exit codes: 0 finished, 1 failed while running, 2 wrong usage or configuration
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="run_live.py",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    source = parser.add_argument_group("what to caption")
    source.add_argument(
        "--device", metavar="NAME", help="input device: its index, or part of its name"
    )
    source.add_argument(
        "--wait",
        action="store_true",
        help="wait for the microphone where it is not there yet, instead of ending",
    )
    source.add_argument(
        "--list-devices", action="store_true", help="list the inputs with their rates, and end"
    )
    source.add_argument(
        "--all",
        action="store_true",
        help="with --list-devices: a Jetson's internal channels as well",
    )
    source.add_argument(
        "--doctor",
        action="store_true",
        help="check machine, microphone and models, tell what to mend, and end",
    )
    source.add_argument(
        "--json", action="store_true", help="with --doctor or --list-devices: as one JSON object"
    )
    source.add_argument(
        "--wav",
        metavar="FILE",
        action="append",
        type=Path,
        default=[],
        help="replay a WAV, FLAC, Ogg, Opus or MP3 file instead; may be repeated",
    )
    source.add_argument(
        "--speed",
        choices=("real", "max"),
        default="real",
        help="pace of a replay: as it was spoken, or without waiting (default: real)",
    )
    output = parser.add_argument_group("what to do with the captions")
    output.add_argument(
        "--format",
        choices=("captions", "plain", "jsonl", "srt", "vtt"),
        help="form on standard output (default: captions on a terminal, plain otherwise)",
    )
    output.add_argument(
        "--output",
        metavar="FILE",
        action="append",
        type=Path,
        default=[],
        help="write captions to a file as well, its form by its ending: "
        ".txt, .jsonl, .srt or .vtt; may be repeated",
    )
    output.add_argument(
        "--record",
        metavar="FILE",
        type=Path,
        help="keep the audio as .wav or .flac; --wav on it replays the session",
    )
    output.add_argument(
        "--rotate",
        metavar="WHEN",
        help="begin new files every day or hour, or at a size such as 100MB; their names carry "
        "the time, so that nothing is overwritten",
    )
    output.add_argument(
        "--log",
        metavar="FILE",
        type=Path,
        help="write what happens to the program to a file: devices, gaps, errors; no captions",
    )
    output.add_argument(
        "--private",
        action="store_true",
        help="write no sound and no text to a disk: no --output, no --record, and nothing "
        "is kept with --web",
    )
    web = parser.add_argument_group("in a browser")
    web.add_argument(
        "--web", action="store_true", help="serve captions, recordings and learning as web pages"
    )
    web.add_argument(
        "--host",
        metavar="NAME",
        help="name or address to listen on (default: 127.0.0.1, which only this machine "
        "reaches); any other needs a token, which is printed once",
    )
    web.add_argument(
        "--port", metavar="N", type=int, help="TCP port (default: 5000; 0: a free one)"
    )
    web.add_argument(
        "--data",
        metavar="FOLDER",
        type=Path,
        help="where kept recordings lie (default: ~/.local/share/live-captioner)",
    )
    web.add_argument(
        "--certificate",
        metavar="FILE",
        type=Path,
        help="PEM file, with --key: serve by HTTPS, which browsers ask for before they give "
        "their microphone to another machine",
    )
    web.add_argument("--key", metavar="FILE", type=Path, help="PEM file of the certificate's key")
    web.add_argument(
        "--new-token", action="store_true", help="make a new token; the one before ends"
    )
    settings = parser.add_argument_group("how")
    settings.add_argument(
        "--model", metavar="FOLDER", type=Path, help="model bundle (default: models/default)"
    )
    settings.add_argument(
        "--engine",
        choices=("auto", "onnx", "cuda", "tensorrt", "tensorflow", "litert"),
        help="what runs the network (default: auto, the fastest); cuda and tensorrt need a GPU",
    )
    language = settings.add_mutually_exclusive_group()
    language.add_argument(
        "--language-model",
        metavar="PATH",
        type=Path,
        help="folder of a language model, or a KenLM ARPA or binary file "
        "(default: models/language)",
    )
    language.add_argument(
        "--no-language-model",
        action="store_true",
        help="take the likeliest letters as they are: cheaper, with more errors",
    )
    settings.add_argument(
        "--hotword",
        metavar="WORD[:WEIGHT]",
        action="append",
        default=[],
        help="a word or phrase to prefer, such as a name, and how much, 0 to 100 "
        "(default: decoder.hotword_weight); may be repeated",
    )
    settings.add_argument(
        "--hotwords",
        metavar="FILE",
        type=Path,
        help="more of them, one a line; read again whenever the file changes",
    )
    settings.add_argument(
        "--config", metavar="FILE", type=Path, help="settings, such as configs/live.yaml"
    )
    settings.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="one setting, such as endpoint.pause_ms=1200; may be repeated",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with a command line and return its exit code."""
    options = vars(parser().parse_args(arguments))
    if options["private"]:
        # Before anything of the program is loaded: it is not told what was used and when, either.
        sys.dont_write_bytecode = True
    try:
        from streamer.app import LiveOptions, run

        return run(LiveOptions(**options))
    except KeyboardInterrupt:
        print("run_live.py: stopped", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
