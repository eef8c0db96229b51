from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from model.errors import SettingsError
from model.settings import format_settings, load_settings
from streamer.settings import (
    AudioSettings,
    DecoderSettings,
    DisplaySettings,
    EndpointSettings,
    LiveSettings,
    PartialSettings,
    VadSettings,
)

LIVE_YAML = Path(__file__).parents[2] / "configs" / "live.yaml"

paths = st.text(min_size=1).filter(lambda text: "\0" not in text).map(Path)
words = st.text(min_size=1).filter(str.strip)


def floats(lowest: float, highest: float, **ends: Any) -> st.SearchStrategy[float]:
    return st.floats(lowest, highest, **ends)


@st.composite
def endpoint_settings(draw: st.DrawFn) -> EndpointSettings:
    longest_s = draw(floats(2, 60))
    pauses = sorted(draw(st.tuples(*[st.integers(100, 10_000)] * 3)))
    return EndpointSettings(
        pre_roll_ms=draw(st.integers(0, 2000)),
        minimum_speech_ms=draw(st.integers(0, 2000)),
        finished_ms=pauses[0],
        sentence_end=draw(floats(0, 1)),
        pause_ms=pauses[1],
        held_ms=pauses[2],
        blanks_ms=draw(st.integers(100, 10_000)),
        nothing_ms=draw(st.integers(100, 10_000)),
        longest_s=longest_s,
        cut_search_s=draw(floats(0, longest_s, exclude_min=True, exclude_max=True)),
    )


@st.composite
def decoder_settings(draw: st.DrawFn) -> DecoderSettings:
    language_model = draw(st.none() | paths)
    return DecoderSettings(
        kind=draw(st.sampled_from(("auto", "greedy", "beam", "reference"))),
        language_model=language_model,
        unigrams=draw(st.none() | paths) if language_model else None,
        beam_width=draw(st.none() | st.integers(1, 1000)),
        partial_beam_width=draw(st.integers(1, 1000)),
        alpha=draw(st.none() | floats(0, 10)),
        beta=draw(st.none() | floats(-10, 10)),
        beam_threshold=draw(st.none() | floats(0, 1e300, exclude_min=True)),
        symbol_threshold=draw(st.none() | floats(0, 1e300, exclude_min=True)),
        unknown_penalty=draw(st.none() | floats(0, 1e300)),
        least_confidence=draw(floats(0, 1)),
        hotwords=tuple(draw(st.lists(words))),
        hotword_weight=draw(floats(0, 100)),
        hotword_file=draw(st.none() | paths),
    )


live_settings = st.builds(
    LiveSettings,
    model=paths,
    engine=st.sampled_from(("auto", "onnx", "tensorflow", "litert")),
    audio=st.builds(
        AudioSettings,
        device=st.text(),
        block_ms=st.integers(10, 500),
        ring_s=floats(1, 120),
        reopen_every_s=floats(0.1, 60),
    ),
    vad=st.builds(
        VadSettings,
        aggressiveness=st.integers(0, 3),
        frame_ms=st.sampled_from((10, 20, 30)),
        margin_db=floats(0, 30),
    ),
    endpoint=endpoint_settings(),
    partials=st.builds(
        PartialSettings,
        every_ms=st.integers(50, 5000),
        settle_after=st.integers(1, 20),
        stability=floats(0, 1),
        stickiness=floats(0, 100),
        settle_lag_ms=st.integers(0, 10_000),
        settle_confidence=floats(0, 1),
        settle_late_ms=st.integers(0, 10_000),
        freeze_every_ms=st.integers(100, 10_000),
        freeze_after_ms=st.integers(0, 10_000),
    ),
    decoder=decoder_settings(),
    display=st.builds(DisplaySettings, low_confidence=floats(0, 1)),
)


def test_the_live_configuration_gives_every_key_its_default() -> None:
    assert load_settings(LiveSettings, LIVE_YAML) == LiveSettings()
    text = LIVE_YAML.read_text(encoding="utf-8")
    assert yaml.safe_load(text) == yaml.safe_load(format_settings(LiveSettings()))


@given(settings=live_settings)
@example(settings=LiveSettings(audio=AudioSettings(device="Zo\u00eb\u0085\u2028'\"s: [USB]")))
@limits(max_examples=25, derandomize=True, deadline=None)
def test_written_settings_load_as_they_were(
    settings: LiveSettings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    path.write_text(format_settings(settings), encoding="utf-8", newline="")
    assert load_settings(LiveSettings, path) == settings


def test_a_device_index_needs_no_quotes() -> None:
    assert load_settings(LiveSettings, None, ["audio.device=2"]).audio.device == "2"


@pytest.mark.parametrize(
    ("override", "rule"),
    [
        ("audio.block_ms=9", "must be 10 to 500"),
        ("audio.ring_s=0.5", "must be 1 to 120"),
        ("audio.reopen_every_s=0", "must be 0.1 to 60"),
        ("vad.aggressiveness=5", "must be 0 to 3"),
        ("learning.share=0", "must be above 0"),
        ("learning.share=1.5", "must be 0 to 1"),
        ("vad.frame_ms=15", "must be 10, 20 or 30"),
        ("vad.margin_db=-1", "must be 0 to 30"),
        ("endpoint.pre_roll_ms=-1", "must be 0 to 2000"),
        ("endpoint.minimum_speech_ms=-1", "must be 0 to 2000"),
        ("endpoint.finished_ms=99", "must be 100 to 10000"),
        ("endpoint.finished_ms=801", "must be at most pause_ms"),
        ("endpoint.pause_ms=1801", "must be at most held_ms"),
        ("endpoint.blanks_ms=99", "must be 100 to 10000"),
        ("endpoint.nothing_ms=10001", "must be 100 to 10000"),
        ("endpoint.sentence_end=1.5", "must be 0 to 1"),
        ("endpoint.longest_s=61", "must be 2 to 60"),
        ("endpoint.cut_search_s=0", "must be above 0"),
        ("endpoint.cut_search_s=20", "must be below longest_s"),
        ("partials.every_ms=49", "must be 50 to 5000"),
        ("partials.settle_after=0", "must be 1 to 20"),
        ("partials.settle_lag_ms=-1", "must be 0 to 10000"),
        ("partials.stability=1.1", "must be 0 to 1"),
        ("partials.stickiness=-1", "must be 0 to 100"),
        ("partials.settle_confidence=-0.1", "must be 0 to 1"),
        ("partials.settle_late_ms=10001", "must be 0 to 10000"),
        ("partials.freeze_every_ms=99", "must be 100 to 10000"),
        ("partials.freeze_after_ms=-1", "must be 0 to 10000"),
        ("decoder.kind=best", "must be auto, greedy, beam or reference"),
        ("decoder.beam_width=0", "must be 1 to 1000"),
        ("decoder.partial_beam_width=0", "must be 1 to 1000"),
        ("decoder.least_confidence=2", "must be 0 to 1"),
        ("decoder.alpha=-0.1", "must be 0 to 10"),
        ("decoder.beta=11", "must be -10 to 10"),
        ('decoder.hotwords=[Ada, " "]', "must not hold blank words"),
        ("decoder.hotword_weight=-1", "must be 0 to 100"),
        ("decoder.beam_threshold=0", "must be above 0"),
        ("decoder.symbol_threshold=0", "must be above 0"),
        ("decoder.unknown_penalty=-1", "must be at least 0"),
        ("display.low_confidence=1.5", "must be 0 to 1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_rule(override: str, rule: str) -> None:
    key, value = override.split("=")
    with pytest.raises(SettingsError) as caught:
        load_settings(LiveSettings, None, [override])
    assert str(caught.value) == f"--set {override}: {key}: {rule}, got {value}"


def test_a_list_of_words_needs_a_language_model() -> None:
    overrides = ["decoder.language_model=null", "decoder.unigrams=words.txt"]
    with pytest.raises(SettingsError, match="unigrams: needs language_model to be given too"):
        load_settings(LiveSettings, None, overrides)


def test_hotwords_are_texts_with_or_without_a_weight() -> None:
    override = "decoder.hotwords=[Ada, Ada Lovelace:8, 'Babbage: 12']"
    settings = load_settings(LiveSettings, None, [override])
    assert settings.decoder.hotwords == ("Ada", "Ada Lovelace:8", "Babbage: 12")
