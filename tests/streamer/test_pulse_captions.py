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
from model.evaluation.rates import error_rates
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


def events_until(program: subprocess.Popen[str], kind: str) -> list[dict[str, Any]]:
    """Read a program's events up to the first of a kind: its type, or what a notice is about."""
    assert program.stdout is not None
    events = []
    for line in program.stdout:
        events.append(json.loads(line))
        if kind in (events[-1]["type"], events[-1].get("kind")):
            return events
    raise AssertionError(f"the program ended without {kind}: {events}")


def write_speech(path: Path) -> None:
    samples = read_audio(CLIP, CARD_RATE)
    soundfile.write(path, np.pad(samples, CARD_RATE // 2), CARD_RATE)


WHOLE = (
    "--no-language-model",
    *("--set", "endpoint.finished_ms=1500"),
    *("--set", "endpoint.pause_ms=1500"),
    *("--set", "partials.settle_lag_ms=10000"),
)
"""Read as one utterance, letter by letter: words that a language model chooses, or that settled
early, would differ as a whole where the sound differs by little."""


def test_the_microphone_gives_the_captions_of_the_file_that_is_played(
    virtual_sound_card: Any, tmp_path: Path, capsys: Any
) -> None:
    played = tmp_path / "played.wav"
    write_speech(played)
    program = virtual_sound_card.start_python(["run_live.py", "--format", "jsonl", *WHOLE])
    with program:
        assert json.loads(program.stdout.readline())["type"] == "start"
        virtual_sound_card.play(played)
        finals = finals_of(program)
        assert program.wait(60) == 0
        assert program.stderr.read() == ""

    assert main(["--wav", str(played), "--speed", "max", *WHOLE]) == 0
    replayed = " ".join(capsys.readouterr().out.split())
    heard = " ".join(final["text"] for final in finals if final["text"])
    assert len(replayed.split()) > 5
    # The card's samples lie up to 10 ms off the file's frames, which moves doubtful letters.
    assert error_rates([replayed], [heard]).cer < 0.25
    heard_cer, replayed_cer = (error_rates([TRUTH], [text]).cer for text in (heard, replayed))
    assert heard_cer == pytest.approx(replayed_cer, abs=0.1)


def test_an_unplugged_microphone_finishes_what_was_heard_and_goes_on_once_it_is_back(
    virtual_sound_card: Any, tmp_path: Path
) -> None:
    played = tmp_path / "played.wav"
    write_speech(played)
    program = virtual_sound_card.start_python(
        ["run_live.py", "--format", "jsonl", "--set", "audio.reopen_every_s=0.2"]
    )
    with program:
        events_until(program, "start")
        with subprocess.Popen(
            ["paplay", str(played)],
            env=virtual_sound_card.environment,
            stderr=subprocess.DEVNULL,
        ):
            heard = events_until(program, "partial")[-1]
            virtual_sound_card.stop_server()
        events_until(program, "device_lost")
        finished = events_until(program, "final")[-1]
        virtual_sound_card.start_server()
        events_until(program, "device_back")
        gap = events_until(program, "gap")[-1]
        virtual_sound_card.play(played)
        later = finals_of(program)
        assert program.wait(60) == 0
    assert (finished["utterance"], finished["reason"]) == (1, "gap")
    assert finished["end_s"] >= heard["audio_s"]
    # What fills no frame of features belongs to no utterance.
    assert 0 <= gap["start_s"] - finished["end_s"] < 0.01
    assert gap["lost_s"] > 0
    assert any(final["text"] for final in later)
    assert later[0]["start_s"] >= gap["start_s"] + gap["lost_s"]
