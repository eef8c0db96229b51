"""The decoders that the settings ask for, put together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from lm.beam import BeamDecoder
from lm.decoder import Decoder, GreedyDecoder
from lm.hotwords import Hotwords
from lm.language_model import LanguageModel
from lm.loading import load_tuned
from lm.reference import ReferenceDecoder
from lm.search import SearchSettings
from lm.tuned import TunedDecoder
from model.alphabet import Alphabet
from model.errors import UsageError
from streamer.events import Notice
from streamer.hotword_file import HotwordFile, parse_hotwords
from streamer.recognizer import UtteranceListener
from streamer.settings import SHIPPED_LANGUAGE_MODEL, DecoderSettings
from streamer.thrift import ThriftyDecoder

REPOSITORY = Path(__file__).resolve().parent.parent

NARROWEST_BEAM = 8
"""Width below which a beam search is hardly better than the greedy reading."""


@dataclass(frozen=True)
class Decoders:
    """What reads the log-probabilities of a stream.

    Attributes:
        final: Reads finals.
        partial: Reads partials.
        listeners: Change the two between utterances.
        notices: What the user should know at the start.
    """

    final: Decoder
    partial: Decoder
    listeners: tuple[UtteranceListener, ...] = ()
    notices: tuple[Notice, ...] = ()


def beside_program(path: Path) -> Path:
    """Return ``path``, or the same beside the program where only that is there."""
    beside = REPOSITORY / path
    return beside if not os.path.exists(path) and os.path.exists(beside) else path


Loaded = tuple[LanguageModel, TunedDecoder]
"""A language model, which any number of decoders may share, and what was tuned for it."""


def load_language_model(settings: DecoderSettings) -> Loaded | None:
    """Load the language model that ``settings`` ask for, or None where they ask for none.

    Raises:
        UsageError: If it cannot be used.
    """
    if settings.language_model is None or settings.kind == "greedy":
        return None
    path = beside_program(settings.language_model)
    if settings.kind == "auto" and _is_shipped(settings) and not path.exists():
        return None
    return load_tuned(path, settings.unigrams)


def _is_shipped(settings: DecoderSettings) -> bool:
    return settings.language_model == SHIPPED_LANGUAGE_MODEL


def build_decoders(
    settings: DecoderSettings,
    alphabet: Alphabet,
    frame_s: float,
    thrifty: bool = False,
    clock: Callable[[], float] = time.perf_counter,
    loaded: Loaded | None = None,
) -> Decoders:
    """Return the decoders that ``settings`` ask for.

    Args:
        settings: Where a language model is missing that they did not name, the reading
            is greedy and a notice says so.
        alphabet: Symbols of the network.
        frame_s: Audio of a frame of log-probabilities, seconds.
        thrifty: Whether partials may be read by narrower beams when decoding is too slow
            for the stream.
        clock: Seconds that only rise; used for the cost of decoding alone.
        loaded: The language model of the same settings, if it was loaded before.

    Raises:
        UsageError: If a language model or a file of hotwords cannot be used, a hotword
            cannot be spelled, or the settings do not go together.
    """
    if settings.language_model is None or settings.kind == "greedy":
        return _greedy(settings, alphabet)
    loaded = loaded or load_language_model(settings)
    if loaded is None:
        path = beside_program(settings.language_model)
        notice = Notice("no_language_model", _MISSING.format(path))
        return replace(_greedy(settings, alphabet), notices=(notice,))
    model, tuned = loaded
    search = _chosen(settings, tuned.search)
    if settings.kind == "reference":
        return _reference(settings, alphabet, model, search)
    width = min(search.beam_width, settings.partial_beam_width)
    widths = _widths(width) if thrifty else [width]
    final, *beams = [
        BeamDecoder(alphabet, model, replace(search, beam_width=each), None, tuned.calibration)
        for each in (search.beam_width, *widths)
    ]
    listeners = _prefer(settings, alphabet, [final, *beams])
    if not thrifty:
        return Decoders(final, beams[0], listeners)
    names = [*(f"a beam of {width}" for width in widths), "the greedy reading"]
    partial = ThriftyDecoder([*beams, GreedyDecoder(alphabet)], names, frame_s, clock)
    return Decoders(final, partial, (*listeners, partial))


_MISSING = (
    "{}: no such folder, so captions are read without a language model, with more errors; "
    "build one with python -m lm.build, or start with --no-language-model"
)


def _greedy(settings: DecoderSettings, alphabet: Alphabet) -> Decoders:
    if settings.kind in ("beam", "reference"):
        raise UsageError(
            f"decoder.kind: {settings.kind} needs a language model; give one with "
            "--language-model PATH, or set decoder.kind greedy"
        )
    if settings.hotwords or settings.hotword_file is not None:
        raise UsageError(
            "decoder.hotwords: only the search with a language model can prefer words; give "
            "one with --language-model PATH and decoder.kind auto, or leave the hotwords out"
        )
    decoder = GreedyDecoder(alphabet)
    return Decoders(decoder, decoder)


def _prefer(
    settings: DecoderSettings, alphabet: Alphabet, beams: Sequence[BeamDecoder]
) -> tuple[UtteranceListener, ...]:
    """Put the hotwords of the settings to use, and return what watches the file of them."""

    def use(hotwords: Hotwords) -> None:
        for beam in beams:
            beam.use(hotwords)

    fixed = parse_hotwords(settings.hotwords, settings.hotword_weight, alphabet)
    if settings.hotword_file is None:
        use(Hotwords(dict(fixed)))
        return ()
    watched = HotwordFile(settings.hotword_file, alphabet, settings.hotword_weight, fixed, use)
    use(watched.load())
    return (watched,)


def _chosen(settings: DecoderSettings, tuned: SearchSettings) -> SearchSettings:
    """Return what was tuned for the language model, with the settings given in its place."""
    values = {field.name: getattr(settings, field.name) for field in fields(SearchSettings)}
    return replace(tuned, **{name: value for name, value in values.items() if value is not None})


def _widths(widest: int) -> list[int]:
    """Return the width of the search and its halves, down to ``NARROWEST_BEAM``."""
    widths = [widest]
    while widths[-1] > NARROWEST_BEAM:
        widths.append(max(NARROWEST_BEAM, widths[-1] // 2))
    return widths


def _reference(
    settings: DecoderSettings, alphabet: Alphabet, model: LanguageModel, search: SearchSettings
) -> Decoders:
    if settings.hotword_file is not None:
        raise UsageError(
            "decoder.hotword_file: the reference decoder keeps its hotwords; "
            "set decoder.kind beam, or name them in decoder.hotwords"
        )
    hotwords = dict(parse_hotwords(settings.hotwords, settings.hotword_weight, alphabet))
    decoder = ReferenceDecoder(alphabet, model, search, hotwords)
    return Decoders(decoder, decoder)
