"""The live page, fed with a recording as if it were spoken now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from streamer.events import AudioGap, FinalTranscript, Notice
from streamer.settings import WebSettings
from tests.streamer.web.browsing import PATIENCE_S, Browser, open_browser, spoken
from tests.streamer.web.conftest import ROOT, Site, running_site

SPEECH = ROOT / "demo/librispeech.flac"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def remembered(site: Site) -> list[dict[str, Any]]:
    """Return what the server tells somebody who comes late."""
    client = websocket.create_connection(f"{site.ws_url}api/live", timeout=PATIENCE_S)
    try:
        hello = json.loads(client.recv())
        events: list[dict[str, Any]] = []
        while not events or events[-1].get("seq", 0) < hello["seq"]:
            events.append(json.loads(client.recv()))
        return events
    finally:
        client.close()


def finals(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the finals with words."""
    return [event for event in events if event["type"] == "final" and event["text"]]


@pytest.fixture(scope="module")
def heard(site: Site, browser: Browser) -> dict[str, Any]:
    """Watch a recording to its end, with two lost connections; return what was seen."""
    browser.open(site.url)
    browser.wait_text("#connection", "No microphone")
    browser.script(
        """
        window.seen = { states: [], partials: [], fonts: null };
        const state = document.getElementById("connection");
        const partial = document.querySelector(".partial");
        const [settled, unsettled] = partial.querySelectorAll(".settled, .unsettled");
        new MutationObserver(() => seen.states.push(state.textContent))
            .observe(state, { childList: true });
        new MutationObserver(() => {
          seen.partials.push([settled.textContent, unsettled.textContent]);
          const [one, other] = [settled, unsettled].map((e) => getComputedStyle(e));
          seen.fonts = [one.fontStyle, other.fontStyle, one.color !== other.color];
        }).observe(partial, { childList: true, subtree: true, characterData: true });
        """
    )
    site.play_live(SPEECH)
    for times in (1, 2):
        wait_for_captions(browser, times)
        site.services.live.disconnect_all()
        wait_for_reconnection(browser, times)
    browser.wait_text("#connection", "Waiting")
    seen: dict[str, Any] = browser.script("return seen")
    return seen


def wait_for_captions(browser: Browser, number: int) -> None:
    """Wait until so many captions are on the page."""
    browser.wait(lambda: len(browser.all(".caption")) >= number)


def wait_for_reconnection(browser: Browser, times: int) -> None:
    """Wait until so many connections were lost and the last one was made again."""

    def again() -> bool:
        states: list[str] = browser.script("return seen.states")
        lost = sum("Connection lost" in state for state in states)
        return lost >= times and states[-1].startswith(("Listening", "Waiting"))

    browser.wait(again)


def test_captions_are_those_that_the_server_made(
    heard: dict[str, Any], site: Site, browser: Browser
) -> None:
    said = [final["text"] for final in finals(remembered(site))]
    assert len(said) >= 2
    assert [line.get_attribute("data-text") for line in browser.all(".caption")] == said
    assert len(said) == len(set(said))


def test_lost_connections_are_said_and_made_again(heard: dict[str, Any]) -> None:
    states = heard["states"]
    assert sum("Connection lost" in state for state in states) >= 2
    last = max(place for place, state in enumerate(states) if "Connection lost" in state)
    assert "Listening" in states[last:] or "Waiting for the microphone" in states[last:]


def test_settled_words_are_told_from_those_that_may_change(heard: dict[str, Any]) -> None:
    assert any(settled and unsettled for settled, unsettled in heard["partials"])
    settled_style, unsettled_style, coloured = heard["fonts"]
    assert (settled_style, unsettled_style, coloured) == ("normal", "italic", True)


def test_words_of_low_confidence_are_marked(
    heard: dict[str, Any], site: Site, browser: Browser
) -> None:
    least = site.services.settings.display.low_confidence
    lines = finals(remembered(site))
    for line, final in zip(browser.all(".caption"), lines, strict=True):
        marked = browser.script(
            "return [...args[0].querySelectorAll('.doubtful')].map((e) => e.firstChild.nodeValue)",
            line,
        )
        doubted = [word["word"] for word in final["words"] if word["confidence"] < least]
        assert " ".join(marked).split() == doubted
    doubtful = browser.find(".doubtful")
    assert "Not sure" in str(doubtful.get_attribute("title"))
    assert "(not sure)" in str(doubtful.get_attribute("textContent"))
    assert "dotted" in doubtful.value_of_css_property("text-decoration")


def test_a_page_that_comes_late_sees_the_same(
    heard: dict[str, Any], site: Site, browser: Browser
) -> None:
    before = spoken(browser)
    browser.open(site.url)
    browser.wait(lambda: spoken(browser) == before)
    assert browser.find(".log").get_attribute("aria-live") == "polite"
    assert browser.text("#source") == f"Of {SPEECH}" or SPEECH.name in browser.text("#source")


def test_what_is_heard_is_kept_on_request_only(
    heard: dict[str, Any], site: Site, browser: Browser
) -> None:
    library = site.services.library
    assert library.count() == 0
    assert "Nothing is kept" in browser.text("#keeping")
    site.play_live(SPEECH)
    browser.wait_text("#connection", "Listening")
    browser.click("#keep")
    browser.wait_text("#keeping", "Being kept")
    assert browser.find("#keep").get_attribute("aria-pressed") == "true"
    before = len(browser.all(".caption"))
    browser.wait(lambda: len(browser.all(".caption")) > before)
    browser.click("#keep")
    browser.wait_text("#keeping", "Nothing more is kept")
    assert browser.find("#keep").get_attribute("aria-pressed") == "false"
    assert library.count() == 1
    browser.click("#keeping a")
    browser.wait(lambda: browser.shown(".segment"))
    assert browser.complaints() == []


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Site]:
    """A server that remembers ten captions only."""
    with running_site(tmp_path / "data", WebSettings(history=10)) as site:
        yield site


def tell(site: Site, *numbers: int) -> None:
    """Let the server say that it heard numbers."""
    for number in numbers:
        said = FinalTranscript(number, f"number {number}", (), number, number, number, "silence")
        site.services.live.emit(said, float(number))


def lines(browser: Browser) -> list[str]:
    """Return everything in the log of captions."""
    return [line.get_attribute("data-text") or line.text for line in browser.all(".log > *")]


def test_what_cannot_be_caught_up_with_is_marked(forgetful: Site, browser: Browser) -> None:
    browser.open(forgetful.url)
    tell(forgetful, 1, 2)
    browser.wait(lambda: lines(browser) == ["number 1", "number 2"])
    forgetful.services.live.disconnect_all()
    tell(forgetful, *range(3, 31))
    browser.wait(lambda: lines(browser)[-1] == "number 30")
    missing = lines(browser)[2]
    assert "missing" in missing
    assert lines(browser)[3:] == [f"number {number}" for number in range(21, 31)]


def test_a_server_that_was_started_anew_is_told_from_the_one_before(
    forgetful: Site, browser: Browser
) -> None:
    browser.open(forgetful.url)
    tell(forgetful, 1)
    browser.wait(lambda: lines(browser) == ["number 1"])
    forgetful.services.live.run = "another"
    forgetful.services.live.disconnect_all()
    browser.wait(lambda: len(lines(browser)) == 3)
    assert "started anew" in lines(browser)[1]
    assert lines(browser)[2] == "number 1"


def test_lost_audio_and_notices_stand_among_the_captions(forgetful: Site, browser: Browser) -> None:
    browser.open(forgetful.url)
    forgetful.services.live.emit(AudioGap(1.0, 1.24), 1.0)
    forgetful.services.live.emit(Notice("device_lost", "The microphone is gone.", "error"), 1.0)
    browser.wait(lambda: len(lines(browser)) == 2)
    assert lines(browser) == ["[1.2 s of audio lost]", "The microphone is gone."]
    assert browser.find(".notice").get_attribute("data-level") == "error"
