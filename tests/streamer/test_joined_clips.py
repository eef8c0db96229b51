"""Recordings with short pauses between them, read by the shipped model as they come."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, pairwise
from pathlib import Path

import numpy as np
import pytest

from lm.decoder import GreedyDecoder
from model.acoustic import AcousticModel
from model.audio import read_audio
from model.corpora.manifest import read_manifest
from streamer.app import build_stream, load_model
from streamer.audio import SAMPLE_RATE, AudioBlock
from streamer.decoders import Decoders
from streamer.events import FinalTranscript, Word
from streamer.settings import LiveSettings

ROOT = Path(__file__).parents[2]
CLIPS = ROOT / "tests" / "data" / "speech" / "manifest.jsonl"
PAUSES_S = (0.2, 0.3, 0.4)
"""Put between the recordings, which begin and end with some quiet themselves."""

WHOLE_LETTERS = 3
"""Fewer at the edge of a recording are often a part of a word that is heard only now and then."""

NEAR_S = 0.1
"""A word read in part only, as "th" here and "e" there, lies beside itself by some frames."""


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    return load_model(ROOT / LiveSettings().model)


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    return [read_audio(row.audio, SAMPLE_RATE) for row in read_manifest(CLIPS)[::2]]


def room(seconds: float) -> np.ndarray:
    """Return the faint noise of a quiet room."""
    noise = np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE))
    return (1e-4 * noise).astype(np.float32)


def finals(model: AcousticModel, pieces: Sequence[np.ndarray]) -> list[FinalTranscript]:
    """Return what is made of audio in blocks of 32 ms, read greedily."""
    decoder = GreedyDecoder(model.bundle.alphabet)
    stream = build_stream(LiveSettings(), model, None, Decoders(decoder, decoder), partials=False)
    audio = np.concatenate(pieces)
    found = []
    for start in range(0, len(audio), 512):
        found += stream.recognize(stream.hear(AudioBlock(audio[start : start + 512], start)))
    found += stream.recognize(stream.end_of_audio())
    return [event for event in found if isinstance(event, FinalTranscript)]


def words(model: AcousticModel, pieces: Sequence[np.ndarray]) -> list[Word]:
    return [word for final in finals(model, pieces) for word in final.words]


def overlap(word: Word, others: Sequence[Word], later_s: float) -> bool:
    """Whether any of the others is about where ``word``, moved by ``later_s``, is."""
    start_s, end_s = word.start_s + later_s - NEAR_S, word.end_s + later_s + NEAR_S
    return any(other.start_s < end_s and start_s < other.end_s for other in others)


def test_no_first_or_last_word_is_lost(model: AcousticModel, clips: list[np.ndarray]) -> None:
    lead_in = room(1.0)
    pieces, starts_s = [lead_in], []
    for clip, pause_s in zip(clips, cycle(PAUSES_S), strict=False):
        starts_s.append(sum(map(len, pieces)) / SAMPLE_RATE)
        pieces += [clip, room(pause_s)]
    joined = words(model, pieces)
    for clip, start_s in zip(clips, starts_s, strict=True):
        alone = [
            word
            for word in words(model, [lead_in, clip, room(1.5)])
            if len(word.word) >= WHOLE_LETTERS
        ]
        later_s = start_s - len(lead_in) / SAMPLE_RATE
        assert overlap(alone[0], joined, later_s)
        assert overlap(alone[-1], joined, later_s)


def test_utterances_of_speech_neither_overlap_nor_tear_words(
    model: AcousticModel, clips: list[np.ndarray]
) -> None:
    pieces = [piece for clip in clips for piece in (clip, room(1.2))]
    found = finals(model, pieces)
    assert len(found) >= len(clips)
    assert all(before.end_s <= after.start_s for before, after in pairwise(found))
    for final in found:
        assert all(final.start_s <= word.start_s < word.end_s for word in final.words)
        assert all(word.end_s <= final.end_s + 0.05 for word in final.words)
