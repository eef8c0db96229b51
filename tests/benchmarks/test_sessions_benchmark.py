"""Many clients at once: what they send and see, and what is made of it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from flask import Flask
from flask_sock import Sock
from simple_websocket import Server
from werkzeug.serving import make_server

from benchmarks.live.captions import captions_of
from benchmarks.live.tapes import Clip, Tape
from benchmarks.loading.clients import Job, Log, speak, speak_all
from benchmarks.loading.judging import Heard, event_of, first_shown_at, judge, told_of
from benchmarks.loading.report import markdown, most
from benchmarks.loading.trial import _chosen, is_borne
from model.corpora.manifest import Utterance
from streamer.audio import SAMPLE_RATE
from streamer.events import FinalTranscript

WORDS = [
    {"word": "one", "start_s": 0.1, "end_s": 0.5, "confidence": 0.9},
    {"word": "two", "start_s": 0.6, "end_s": 1.0, "confidence": 0.9},
]
FINAL = {
    **{"type": "final", "utterance": 1, "text": "one two", "words": WORDS, "start_s": 0.0},
    **{"end_s": 1.2, "audio_s": 1.45, "reason": "silence", "emitted_s": 1.6},
}
SUMMARY = {"type": "summary", "audio_s": 2.0, "lost_s": 0.0}


def partial(stable: str, tail: str, audio_s: float) -> dict[str, Any]:
    times = {"start_s": 0.0, "audio_s": audio_s, "emitted_s": audio_s}
    return {"type": "partial", "utterance": 1, "stable": stable, "tail": tail, **times}


LOG = Log(
    messages=[
        (0.0, {"type": "start"}),
        (0.75, partial("", "one", 0.6)),
        (0.95, partial("", "won", 0.8)),
        (1.25, partial("one", "two", 1.15)),
        (1.7, FINAL),
        (1.8, SUMMARY),
    ],
    late_s=[0.0, 0.01],
)


class Ends:
    """Stands for the alignment: words end where the final says."""

    def word_ends(self, samples: np.ndarray, final: FinalTranscript) -> list[float]:
        return [word.end_s for word in final.words]


def tape() -> Tape:
    row = Utterance(Path("x.wav"), "one three", 2.0)
    samples = np.zeros(2 * SAMPLE_RATE, np.float32)
    return Tape("x", Path("x.wav"), samples, (Clip(row, 0, len(samples)),))


def test_a_log_is_judged_by_when_its_words_were_shown() -> None:
    heard = judge(tape(), LOG, Ends())  # type: ignore[arg-type]
    assert heard.standing == pytest.approx([1.25 - 0.5, 1.25 - 1.0])
    assert heard.first_shown == pytest.approx([0.75 - 0.5, 1.25 - 1.0])
    assert heard.finals == pytest.approx([1.7 - 1.0])
    # Audio up to 0.6 s was sent at 0.6 s, up to 1.15 s at 1.2 s, up to 1.45 s at 1.5 s.
    assert heard.added == pytest.approx([0.15, 0.15, 0.05, 0.2])
    assert heard.spoken == [("one three", "one two")]
    assert (heard.lost_s, heard.failures, heard.partials) == (0.0, [], 3)
    assert heard.figures()["wer"] == 0.5


def test_a_word_is_not_shown_before_it_is_said() -> None:
    messages = [(0.4, partial("", "two", 0.4)), (1.7, FINAL)]
    (caption,) = captions_of(told_of(Log(messages=messages)))
    assert first_shown_at(caption) == [1.7, 1.7]


def test_a_client_without_a_summary_lost_everything() -> None:
    heard = judge(tape(), Log(code=1013), Ends())  # type: ignore[arg-type]
    assert heard.lost_s == 2.0
    assert heard.failures == ["closed with 1013, without a summary"]
    assert not is_borne(heard.figures(), 1.0)


def test_clients_are_counted_together() -> None:
    heard = Heard()
    for _ in range(3):
        heard.add(judge(tape(), LOG, Ends()))  # type: ignore[arg-type]
    assert len(heard.added) == 12
    assert heard.figures()["words"] == 6
    assert heard.audio_s == 6.0
    assert is_borne(heard.figures(), 1.0)
    assert not is_borne(heard.figures(), 0.1)


def test_messages_that_are_no_captions_are_passed_over() -> None:
    assert event_of({"type": "status", "audio_s": 1.0}) is None
    assert event_of({"type": "notice", "kind": "busy", "text": "", "level": "error"}) is None


def test_recordings_are_taken_over_and_over_until_they_are_long_enough() -> None:
    rows = [Utterance(Path(name), "x", 2.0) for name in "abc"]
    assert [row.audio.name for row in _chosen(rows, 2, 7.0)] == ["c", "a", "b", "c"]
    assert [row.audio.name for row in _chosen(rows, 0, 1.0)] == ["a"]


def figures(clients: int, p90: float, lost_s: float = 0.0) -> dict[str, Any]:
    spread = {"p50": p90 / 2, "p90": p90, "p99": p90}
    names = ("standing_s", "first_shown_s", "final_s", "added_s", "client_late_s")
    return {
        "clients": clients,
        **dict.fromkeys(names, spread),
        **{"wer": 0.5, "partials_a_second": 4.0, "lost_s": lost_s, "failures": []},
        **{"cores": 0.1 * clients, "memory_mb": 200, "borne": p90 < 1 and not lost_s},
    }


def test_the_most_clients_are_those_before_the_first_that_is_too_slow() -> None:
    runs = [figures(1, 0.2), figures(4, 0.8), figures(8, 1.2), figures(10, 0.9)]
    assert most(runs, "added_s", 1.0) == 4
    assert most(runs, "added_s", 2.0) == 10
    assert most([figures(1, 0.2, lost_s=1.0)], "added_s", 1.0) == 0


def test_the_report_tells_each_number_of_clients_and_what_the_next_is_told() -> None:
    notice = {"type": "notice", "kind": "busy", "text": "all places are taken", "level": "error"}
    record = {
        "limit_s": 1.0,
        "runs": [figures(1, 0.2), figures(8, 1.2)],
        "refusal": {"told": [{"close_code": 1013, "notices": [notice]}], "others_went_on": 1},
        "conditions": {"manifest": "x.jsonl"},
    }
    text = markdown(record)
    assert "| 1 | 100 / 200 | 100 / 200 |" in text
    assert "time added by computing and waiting: 1" in text
    assert "all places are taken" in text
    assert "1013" in text


@pytest.fixture
def echo() -> Any:
    """A server that tells how many bytes came, and turns the third client away."""
    app = Flask(__name__)
    sock = Sock(app)
    places = threading.Semaphore(2)

    @sock.route("/api/stream")
    def stream(socket: Server) -> None:
        if not places.acquire(blocking=False):
            socket.send(json.dumps({"type": "notice", "kind": "busy"}))
            socket.close(1013, "busy")
            return
        size = 0
        while isinstance(message := socket.receive(), bytes):
            size += len(message)
            socket.send(json.dumps({"type": "status", "bytes": size}))
        socket.send(json.dumps({"type": "summary", "said": json.loads(message)}))

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"ws://127.0.0.1:{server.server_port}/api/stream"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_client_speaks_in_real_time_and_notes_what_comes(echo: str, tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    samples = np.arange(round(0.35 * SAMPLE_RATE), dtype=np.int16)
    soundfile.write(path, samples, SAMPLE_RATE)
    start_s = time.monotonic() + 0.2
    log = speak(Job(echo, str(path), start_s))
    times = [came_s for came_s, message in log.messages if message["type"] == "status"]
    sizes = [message["bytes"] for _, message in log.messages if "bytes" in message]
    assert sizes == [3200, 6400, 9600, 11200]
    assert all(came_s >= due for came_s, due in zip(times, (0.1, 0.2, 0.3, 0.35), strict=True))
    assert log.messages[-1][1] == {"type": "summary", "said": {"type": "end"}}
    assert len(log.late_s) == 4
    assert not log.failure


def test_a_client_that_is_turned_away_notes_the_code(echo: str, tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(8000, np.int16), SAMPLE_RATE)
    jobs = [Job(echo, str(path), time.monotonic() + 0.2) for _ in range(3)]
    logs = speak_all(jobs)
    assert sorted(log.code for log in logs) == [0, 0, 1013]
    (refused,) = [log for log in logs if log.code]
    assert refused.messages[0][1]["kind"] == "busy"


def test_a_server_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(800, np.int16), SAMPLE_RATE)
    log = speak(Job("ws://127.0.0.1:9/api/stream", str(path), time.monotonic()))
    assert "Refused" in log.failure
