"""Thousands of broken audio files: each ends in sound or in a sentence, and the server goes on."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.web.decoding import DecodedUpload
from streamer.web.errors import WebError
from tests.streamer.web.conftest import Site
from tests.streamer.web.fuzz_child import LIMITS
from tests.streamer.web.mutations import mutated, originals

ROOT = Path(__file__).parents[3]

FILES = 4000
"""Broken files that are decoded by long-lived processes."""

SENT = 24
"""Broken files that are sent to a server, each decoded by a process of its own."""

PROCESSES = 2
HANGS_S = 30
"""A file that takes longer is taken to hang; seconds."""

KNOWN_ANSWERS = {200, 413, 415, 422}


def decoded(folder: Path) -> Iterator[tuple[int, str]]:
    """Yield the number of each file of a folder, and its outcome.

    It is the last kind of frame, or ``crash`` or ``hang`` where the process ended or
    stood still; another one then goes on behind that file.
    """
    first, count = 0, sum(1 for _ in folder.iterdir())
    while first < count:
        for number, outcome in _run(folder, first):
            yield number, outcome
            first = number + 1


def _run(folder: Path, first: int) -> Iterator[tuple[int, str]]:
    command = [sys.executable, "-m", "tests.streamer.web.fuzz_child", str(folder), str(first)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, bufsize=0
    )
    assert process.stdout is not None
    at, pending = first, b""
    try:
        while True:
            if not select.select([process.stdout], [], [], HANGS_S)[0]:
                yield at, "hang"
                return
            piece = os.read(process.stdout.fileno(), 65_536)
            pending += piece
            *whole, pending = pending.split(b"\n")
            for line in whole:
                number, kind, size = line.split()
                assert int(size) <= LIMITS.longest_s * SAMPLE_RATE * 4
                at = int(number) + 1
                yield int(number), kind.decode()
            if not piece:
                break
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if pending:
        yield at, "crash"


def survived(content: bytes) -> str:
    """Return what the server's own decoder says of a file: ``heard``, or an error's text."""
    file = os.memfd_create("upload")
    with os.fdopen(file, "w+b") as upload:
        upload.write(content)
        upload.flush()
        try:
            with DecodedUpload(upload, "upload", LIMITS) as source:
                for item in source:
                    assert not isinstance(item, AudioBlock) or len(item.samples)
                return str(source.trouble or "heard")
        except WebError as error:
            return str(error)


def test_broken_files_end_in_sound_or_in_an_error(tmp_path: Path) -> None:
    files = list(mutated(originals(), FILES, seed=1))
    folders = [tmp_path / str(part) for part in range(PROCESSES)]
    for part, folder in enumerate(folders):
        folder.mkdir()
        for number, content in enumerate(files[part::PROCESSES]):
            (folder / str(number)).write_bytes(content)
    with ThreadPoolExecutor(PROCESSES) as pool:
        results = list(pool.map(lambda folder: list(decoded(folder)), folders))
    outcomes = Counter(outcome for result in results for _, outcome in result)
    print(dict(outcomes))
    assert outcomes.total() == FILES
    assert set(outcomes) <= {"E", "T", "crash", "hang"}
    assert outcomes["E"] > FILES / 10
    assert outcomes["T"] > FILES / 10
    for folder, result in zip(folders, results, strict=True):
        for number, outcome in result:
            if outcome in ("crash", "hang"):
                assert survived((folder / str(number)).read_bytes()).startswith("the file: ")


def test_the_server_survives_broken_files(site: Site) -> None:
    statuses = Counter()
    for content in mutated(originals(), SENT, seed=2):
        answer = requests.post(f"{site.url}api/transcribe", data=content or b"x", timeout=60)
        statuses[answer.status_code] += 1
        if answer.status_code != 200:
            assert answer.json()["error"].startswith("the file: ")
    assert set(statuses) <= KNOWN_ANSWERS
    assert len(statuses) > 1
    health = requests.get(f"{site.url}healthz", timeout=60)
    assert health.json()["status"] == "ok"
    assert site.services.desk.taken == 0


def test_the_same_seed_breaks_files_the_same_way() -> None:
    files = originals()
    assert list(mutated(files, 40, seed=3)) == list(mutated(files, 40, seed=3))
    assert len(set(mutated(files, 200, seed=3))) > 150
