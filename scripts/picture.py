"""Draw the captions of a recording as they stand at one moment: the README's picture.

    python scripts/picture.py demo/librispeech.flac 12.5 docs/captions.svg

The recording is captioned by the default model; nothing in the picture is made up.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from streamer.app import build_stream, load_model
from streamer.display import CaptionDisplay
from streamer.events import Event, StreamStarted
from streamer.replay import WavReplaySource
from streamer.settings import LiveSettings


def main() -> None:
    """Caption the recording up to the moment and save the screen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("moment_s", type=float, help="seconds of stream time")
    parser.add_argument("picture", type=Path, help="an .svg file")
    arguments = parser.parse_args()
    console = Console(file=io.StringIO(), record=True, width=92, height=24, _environ={})
    display = CaptionDisplay(console)
    for event in events_until(arguments.recording, arguments.moment_s):
        display.emit(event, 0.0)
    console.print(display)
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    drawing = console.export_svg(title=f"run_live.py --wav {arguments.recording}")
    # rich names fonts of a remote host; whoever looks at the picture has one of their own.
    arguments.picture.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL))
    display.close()


def events_until(recording: Path, moment_s: float) -> list[Event]:
    """Return what the program shows of a recording in its first ``moment_s`` seconds."""
    settings = LiveSettings()
    model = load_model(settings.model)
    stream = build_stream(settings, model)
    events: list[Event] = []
    with WavReplaySource([recording], "max", settings.audio.block_ms) as source:
        events.append(StreamStarted(source.name, model.bundle.name))
        for block in source:
            events += stream.recognize(stream.hear(block))
            status = stream.status(getattr(block, "end", 0))
            if status.audio_s >= moment_s:
                return [*events, status]
    raise SystemExit(f"{recording}: shorter than {moment_s} s")


if __name__ == "__main__":
    main()
