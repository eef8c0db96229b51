"""Captions of a real microphone: what is played into a virtual sound card is read."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from model.audio import read_audio
from model.evaluation import error_rates
from run_live import main

SPEECH = Path(__file__).resolve().parents[1] / "data/speech"
CLIP = SPEECH / "3664-178355-0010.opus"
TRUTH = (
    "till they would finally circle round and round on this morning the buffaloes were very "
    "accommodating"
)
CARD_RATE = 48_000


def finals_of(program: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Read a program's events up to the first final that says something, then end it."""
    assert program.stdout is not None
    finals = []
    for line in program.stdout:
        event = json.loads(line)
        if event["type"] == "final":
            finals.append(event)
            if event["text"]:
                program.terminate()
    return finals


def test_the_microphone_gives_the_captions_of_the_file_that_is_played(
    virtual_sound_card: Any, tmp_path: Path, capsys: Any
) -> None:
    played = tmp_path / "played.wav"
    samples = read_audio(CLIP, CARD_RATE)
    soundfile.write(played, np.pad(samples, CARD_RATE // 2), CARD_RATE)
    program = virtual_sound_card.start_python(
        ["run_live.py", "--format", "jsonl", "--set", "vad.hangover_ms=1500"]
    )
    with program:
        assert json.loads(program.stdout.readline())["type"] == "start"
        virtual_sound_card.play(played)
        finals = finals_of(program)
        assert program.wait(60) == 0
        assert program.stderr.read() == ""

    assert main(["--wav", str(played), "--speed", "max", "--set", "vad.hangover_ms=1500"]) == 0
    replayed = " ".join(capsys.readouterr().out.split())
    heard = " ".join(final["text"] for final in finals if final["text"])
    assert len(replayed.split()) > 5
    # The card's samples lie up to 10 ms off the file's frames, which moves doubtful letters.
    assert error_rates([replayed], [heard]).cer < 0.25
    heard_cer, replayed_cer = (error_rates([TRUTH], [text]).cer for text in (heard, replayed))
    assert heard_cer == pytest.approx(replayed_cer, abs=0.1)
