"""The program as its user runs it, with the default model and real recordings."""

from __future__ import annotations

import array
import fcntl
import json
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import soundfile

from model.audio import read_audio
from model.corpora.manifest import Utterance, read_manifest
from model.evaluation.rates import error_rates
from run_live import main
from tests.streamer.tiny_arpa import write_arpa

REPOSITORY = Path(__file__).resolve().parent.parent
SPEECH = REPOSITORY / "tests/data/speech"
CLIP = SPEECH / "669-129074-0011.opus"
SHORT_CLIP = SPEECH / "common_voice_en_17369372.opus"
READY_S = 120
"""Longest wait for a started program; it is only reached when a test fails."""


def run(*arguments: str | Path) -> int:
    """Run the program in this process and return its exit code."""
    return main([str(part) for part in arguments])


def transcript(clip: Path) -> str:
    """Return what a recording says."""
    rows = read_manifest(SPEECH / "manifest.jsonl")
    return next(row.text for row in rows if row.audio == clip)


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def of_type(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


@pytest.fixture
def program() -> Iterator[Any]:
    """Start the program in a process of its own; kill what a test leaves running."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "run_live.py", *map(str, arguments)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_recording_becomes_plain_finals_on_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--wav", CLIP, "--speed", "max") == 0
    printed = capsys.readouterr()
    assert error_rates([transcript(CLIP)], [" ".join(printed.out.split())]).cer < 0.4
    assert printed.err == ""


def test_json_lines_carry_every_event(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--wav", CLIP, "--speed", "max", "--format", "jsonl") == 0
    events = records(capsys.readouterr().out)
    assert events[0]["type"] == "start" and events[0]["schema"] == 1
    assert events[-1]["type"] == "summary"
    texts = {final["utterance"]: final["text"].split() for final in of_type(events, "final")}
    settled = [(p["utterance"], p["stable"].split()) for p in of_type(events, "partial")]
    assert any(words for _, words in settled)
    assert all(texts[number][: len(words)] == words for number, words in settled)
    duration_s = len(read_audio(CLIP, 16_000)) / 16_000
    assert events[-1]["audio_s"] == pytest.approx(duration_s, abs=0.001)
    for final in of_type(events, "final"):
        assert final["text"] == " ".join(word["word"] for word in final["words"])
        times = [word[edge] for word in final["words"] for edge in ("start_s", "end_s")]
        assert times == sorted(times)
        assert final["start_s"] <= times[0] and times[-1] <= duration_s + 0.05


def test_live_finals_are_as_good_as_whole_recordings(capsys: pytest.CaptureFixture[str]) -> None:
    from streamer.app import decoders_for, load_model
    from streamer.settings import LiveSettings

    rows: list[Utterance] = read_manifest(SPEECH / "manifest.jsonl")
    settings = LiveSettings()
    acoustic = load_model(settings.model)
    decoder = decoders_for(settings, acoustic).final
    offline, live = [], []
    for row in rows:
        features = acoustic.extractor.extract(read_audio(row.audio, 16_000))
        offline.append(decoder.decode(acoustic.log_probs(features, final=True)).text)
        assert run("--wav", row.audio, "--speed", "max", "--format", "plain") == 0
        live.append(" ".join(capsys.readouterr().out.split()))
    references = [row.text for row in rows]
    offline_wer = error_rates(references, offline).wer
    assert error_rates(references, live).wer == pytest.approx(offline_wer, abs=0.06)
    assert offline_wer < 0.9


def test_subtitles_and_events_are_written_beside_the_captions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [tmp_path / f"talk.{ending}" for ending in ("srt", "vtt", "jsonl", "txt")]
    arguments = [part for path in outputs for part in ("--output", path)]
    assert run("--wav", CLIP, "--speed", "max", *arguments) == 0
    shown = capsys.readouterr().out
    srt, vtt, events, plain = (path.read_text() for path in outputs)
    assert srt.startswith("1\n00:00:0") and " --> " in srt
    assert vtt.startswith("WEBVTT\n")
    assert plain == shown
    finals = of_type(records(events), "final")
    assert " ".join(final["text"] for final in finals) == " ".join(plain.split())


def test_a_recorded_session_replays_to_the_same_finals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "session.flac"
    assert run("--wav", CLIP, "--speed", "max", "--record", kept) == 0
    first = capsys.readouterr().out
    assert run("--wav", kept, "--speed", "max") == 0
    second = capsys.readouterr().out
    assert error_rates([" ".join(first.split())], [" ".join(second.split())]).cer < 0.05


def test_several_recordings_are_one_stream(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--wav", SHORT_CLIP, "--wav", SHORT_CLIP, "--speed", "max", "--format", "jsonl")
    assert run(*arguments) == 0
    finals = of_type(records(capsys.readouterr().out), "final")
    assert len(finals) == 2
    assert finals[0]["end_s"] <= finals[1]["start_s"]


@pytest.fixture
def arpa(tmp_path: Path) -> Path:
    """Return a language model of the words of ``CLIP``."""
    return write_arpa(tmp_path / "words.arpa", transcript(CLIP).split())


def test_a_language_model_mends_what_the_network_misheard(
    arpa: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = transcript(CLIP)
    found = []
    for chosen in (("--no-language-model",), ("--language-model", arpa)):
        assert run("--wav", CLIP, "--speed", "max", *chosen) == 0
        found.append(" ".join(capsys.readouterr().out.split()))
    greedy, beam = (error_rates([truth], [text]).wer for text in found)
    assert beam < greedy


def test_hotwords_are_heard(arpa: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--wav", CLIP, "--speed", "max", "--language-model", arpa)
    found = []
    for hotwords in ((), ("--hotword", "beleaved:30")):
        assert run(*options, *hotwords) == 0
        found.append(capsys.readouterr().out)
    assert "beleaved" in found[1] and "beleaved" not in found[0]


@pytest.mark.parametrize(
    ("hotword", "message"),
    [("R2D2", "hotword R2D2: cannot spell '2'"), ("Ada:much", "'Ada:much': must be a word")],
)
def test_a_hotword_that_cannot_be_used_is_named(
    hotword: str, message: str, arpa: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--wav", CLIP, "--language-model", arpa, "--hotword", hotword) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--wav", "none.wav"), "none.wav: no such file"),
        (("--wav", "pyproject.toml"), "pyproject.toml: not readable as WAV"),
        (("--speed", "max"), "--speed max: needs a recording"),
        (("--wav", CLIP, "--device", "usb"), "--device: has no use with --wav"),
        (("--wav", CLIP, "--wait"), "--wait: has no use with --wav"),
        (("--wav", CLIP, "--wait", "--web"), "--wait: has no use with --wav"),
        (
            ("--wav", CLIP, "--output", "captions.srt", "--output", "tests/../captions.srt"),
            "captions.srt: is to be written twice",
        ),
        (("--wav", CLIP, "--set", "vad.agressiveness=1"), "did you mean"),
        (("--wav", CLIP, "--set", "vad.aggressiveness=7"), "must be 0 to 3, got 7"),
        (("--wav", CLIP, "--config", "none.yaml"), "none.yaml"),
        (("--wav", CLIP, "--model", "none"), "none: no such folder"),
        (("--wav", CLIP, "--output", "captions.doc"), "captions.doc: no caption format"),
        (("--wav", CLIP, "--record", "session.mp4"), "session.mp4"),
        (
            ("--wav", CLIP, "--no-language-model", "--set", "decoder.kind=beam"),
            "beam needs a language model",
        ),
        (("--wav", CLIP, "--no-language-model", "--hotword", "Ada"), "--language-model PATH"),
        (
            ("--wav", CLIP, "--language-model", "lm", "--set", "decoder.kind=greedy"),
            "--language-model: has no use with decoder.kind greedy",
        ),
        (("--wav", CLIP, "--hotword", " "), "must be a word or phrase"),
        (("--wav", CLIP, "--language-model", "no.arpa"), "no.arpa: no such file"),
        (("--wav", CLIP, "--set", "decoder.language_model=no.arpa"), "no.arpa: no such file"),
    ],
)
def test_wrong_use_is_named_with_exit_code_2(
    arguments: tuple[str | Path, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


def cut_weights(bundle: Path) -> None:
    weights = bundle / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-1])


def raise_format(bundle: Path) -> None:
    record = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(record | {"format": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda bundle: (bundle / "weights.npz").unlink(), "weights.npz: cannot be read"),
        (cut_weights, "checksum differs"),
        (raise_format, "has format 99"),
    ],
)
def test_a_model_that_cannot_be_used_is_named(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    message: str,
) -> None:
    bundle = shutil.copytree(REPOSITORY / "models/default", tmp_path / "bundle")
    damage(bundle)
    assert run("--wav", CLIP, "--model", bundle) == 2
    assert message in capsys.readouterr().err


def test_a_start_that_fails_bars_no_file_of_the_next_one(tmp_path: Path) -> None:
    files = ("--output", tmp_path / "talk.vtt", "--record", tmp_path / "talk.wav")
    assert run("--wav", SHORT_CLIP, "--model", "none", *files) == 2
    assert run("--wav", SHORT_CLIP, "--speed", "max", *files) == 0


def test_muted_and_clipping_input_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "muted.wav", np.zeros(4 * 16_000), 16_000)
    soundfile.write(tmp_path / "loud.wav", np.clip(50 * read_audio(CLIP, 16_000), -1, 1), 16_000)
    recordings = ("--wav", tmp_path / "muted.wav", "--wav", tmp_path / "loud.wav")
    assert run(*recordings, "--speed", "max") == 0
    warnings = capsys.readouterr().err
    assert "the input is silent" in warnings
    assert "the input is too loud and clips" in warnings


def test_a_terminal_without_the_signs_of_a_name_shows_captions(tmp_path: Path) -> None:
    recording = tmp_path / "日本.opus"
    recording.write_bytes(SHORT_CLIP.read_bytes())
    with (
        TextIOWrapper(BytesIO(), "ascii", write_through=True) as terminal,
        redirect_stdout(terminal),
    ):
        assert run("--wav", recording, "--speed", "max", "--format", "captions") == 0
        shown = terminal.buffer.getvalue().decode("ascii")
    assert shown.startswith("Listening to ??.opus")
    assert "heard" in shown


def test_captions_go_to_the_file_when_standard_output_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    program = [sys.executable, "run_live.py", "--wav", CLIP, "--speed", "max", "--output", path]
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" >&-', "bash", *map(str, program)],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        timeout=READY_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(path.read_text().split()) > 5


def test_a_full_disk_stops_the_file_and_not_the_captions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = tmp_path / "talk.srt"
    full.symlink_to("/dev/full")
    assert run("--wav", CLIP, "--speed", "max", "--output", full) == 0
    printed = capsys.readouterr()
    assert len(printed.out.split()) > 5
    assert "talk.srt" in printed.err and "No space left" in printed.err


def next_event(process: subprocess.Popen[str], kind: str) -> dict[str, Any]:
    """Read the program's events up to the next one of a kind."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["type"] == kind:
            return event
    raise AssertionError(f"the program ended without a {kind}: {process.communicate()[1]}")


def test_ctrl_c_finishes_what_was_heard(program: Any) -> None:
    process = program("--wav", CLIP, "--format", "jsonl")
    partial = next_event(process, "partial")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=READY_S)
    events = records(out)
    assert process.returncode == 0, err
    assert of_type(events, "final")[-1]["end_s"] >= partial["audio_s"] - 0.5
    assert events[-1]["type"] == "summary"
    assert events[-1]["audio_s"] < 8.0
    assert err == ""


def test_a_second_ctrl_c_stops_now(program: Any) -> None:
    process = program("--wav", CLIP, "--wav", CLIP, "--format", "jsonl")
    assert process.stdout is not None
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    next_event(process, "partial")
    wait_until_full(process.stdout)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)  # Nobody reads, so what was heard cannot be shown.
    process.send_signal(signal.SIGINT)
    assert process.wait(READY_S) == 1
    assert process.stderr is not None
    assert process.stderr.read() == "run_live.py: stopped\n"


def wait_until_full(pipe: IO[str]) -> None:
    """Wait until an event has no room left: little room is left, or nothing comes any more."""
    before, since = -1, time.monotonic()
    while before < 3600 and time.monotonic() - since < 10:
        waiting = array.array("i", [0])
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
        if waiting[0] != before:
            before, since = waiting[0], time.monotonic()
        time.sleep(0.1)


def test_subtitles_are_whole_when_the_program_is_killed(program: Any, tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    process = program(*("--wav", SHORT_CLIP, "--wav", CLIP, "--format", "jsonl", "--output", path))
    final = next_event(process, "final")
    next_event(process, "partial")
    process.kill()
    process.wait(READY_S)
    cues = path.read_text().strip().split("\n\n")
    words = [word for cue in cues for line in cue.splitlines()[2:] for word in line.split()]
    said = final["text"].split()
    assert words[: len(said)] == said  # Behind it stands what was settled of the next utterance.


def test_hotwords_may_change_while_captions_go_on(program: Any, arpa: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("Ada Lovelace\n")
    process = program(
        *("--wav", SHORT_CLIP, "--wav", SHORT_CLIP, "--format", "jsonl"),
        *("--language-model", arpa, "--hotwords", names),
    )
    next_event(process, "final")
    names.write_text("Ada Lovelace\nR2D2\n")
    notice = next_event(process, "notice")
    while notice["kind"] == "file":
        notice = next_event(process, "notice")
    assert notice["kind"] == "hotwords"
    assert f"{names}:2: hotword R2D2" in notice["text"]
    assert "1 hotword of other lines in use" in notice["text"]
    assert next_event(process, "final")["utterance"] == 2
    _, err = process.communicate(timeout=READY_S)
    assert process.returncode == 0
    assert "hotword R2D2" in err


def test_the_program_ends_quietly_when_its_reader_leaves(program: Any) -> None:
    process = program("--wav", CLIP, "--format", "jsonl")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=READY_S)
    assert err == ""
    assert process.returncode == 0


def test_a_slow_reader_gets_every_final(program: Any) -> None:
    process = program("--wav", CLIP, "--wav", SHORT_CLIP, "--format", "jsonl")
    next_event(process, "partial")
    time.sleep(3)
    out, err = process.communicate(timeout=READY_S)
    finals = of_type(records(out), "final")
    assert [final["utterance"] for final in finals] == list(range(1, len(finals) + 1))
    assert process.returncode == 0, err


def test_a_device_that_is_not_there_is_named_with_what_to_do() -> None:
    done = subprocess.run(
        [sys.executable, "run_live.py", "--device", "a microphone of nobody"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=READY_S,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("run_live.py: error: no input device")
    assert done.stderr.count("\n") == 1
