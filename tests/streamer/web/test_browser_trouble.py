"""What others do at the same moment, long transcripts, other scripts, and a server that is away."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from streamer.audio import AudioBlock
from streamer.events import FinalTranscript, Word
from streamer.web.library.errors import LibraryError
from streamer.web.library.kept import KeptRecording
from streamer.web.library.library import Library
from tests.streamer.web.browsing import ENTER, ESCAPE, Browser, open_browser
from tests.streamer.web.conftest import Site


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("profile")
    with open_browser(folder, switches=["autoplay-policy=no-user-gesture-required"]) as browser:
        yield browser


@pytest.fixture
def going(site: Site) -> Iterator[KeptRecording]:
    """Half a minute of silence with two utterances that goes on."""
    library = site.services.library
    kept = library.begin("", "live", site.services.models.name)
    kept.push(AudioBlock(np.zeros(480_000, np.float32), 0))
    for start_s in (1.0, 3.0):
        kept.add(final("some words here", start_s))
    yield kept
    if kept.id in library.ids():
        library.delete(kept.id)


@pytest.fixture
def talk(site: Site, browser: Browser, going: KeptRecording) -> str:
    """Id of a recording that has ended, and whose page is open."""
    going.finish()
    open_recording(site, browser, going.id)
    return going.id


def final(text: str, start_s: float) -> FinalTranscript:
    words = text.split()
    edges = np.linspace(start_s, start_s + 1.0, len(words) + 1).tolist()
    spoken = tuple(Word(w, edges[n], edges[n + 1], 0.9) for n, w in enumerate(words))
    return FinalTranscript(1, text, spoken, start_s, start_s + 1.0, start_s + 1.5, "silence")


def open_recording(site: Site, browser: Browser, id: str) -> None:
    browser.open(f"{site.url}library/{id}")
    browser.wait(lambda: browser.shown(".segment"))


def test_words_are_marked_again_after_an_editor_was_left(talk: str, browser: Browser) -> None:
    browser.click(".edit")
    browser.press(ESCAPE)
    browser.script("document.getElementById('audio').currentTime = 1.5;")
    assert browser.wait(lambda: browser.all(".word.spoken"))[0] == browser.all(".word")[1]


def test_saving_nothing_calls_nothing_right(talk: str, site: Site, browser: Browser) -> None:
    browser.click(".edit")
    browser.driver.switch_to.active_element.send_keys(Keys.CONTROL, ENTER)
    browser.wait(lambda: not browser.all("textarea"))
    recording = site.services.library.recording(talk)
    assert (recording.revision, recording.reviewed) == (0, False)


def test_what_is_deleted_already_can_be_left(talk: str, site: Site, browser: Browser) -> None:
    site.services.library.delete(talk)
    browser.click("#delete")
    browser.click('dialog button[value="yes"]')
    browser.wait(lambda: browser.driver.current_url.endswith("/library"))


def test_words_of_other_scripts_run_their_way(talk: str, browser: Browser) -> None:
    browser.click(".edit")
    browser.find("textarea").clear()
    browser.find("textarea").send_keys("مرحبا بالعالم!")
    assert browser.find("textarea").value_of_css_property("direction") == "rtl"
    browser.click("#save")
    browser.wait_text("#messages", "Saved")
    ways = [line.value_of_css_property("direction") for line in browser.all(".segment .words")]
    assert ways == ["rtl", "ltr"]


def test_segments_that_nobody_sees_are_not_laid_out(talk: str, browser: Browser) -> None:
    style = "return getComputedStyle(document.querySelector('.segment')).contentVisibility"
    assert browser.script(style) == "auto"


def test_playing_goes_on_when_a_recording_comes_to_its_end(
    going: KeptRecording, site: Site, browser: Browser
) -> None:
    open_recording(site, browser, going.id)
    browser.press("k")
    position = "return document.getElementById('audio').currentTime"
    browser.wait(lambda: browser.script(position) > 0.3)
    going.push(AudioBlock(np.zeros(16_000, np.float32), 480_000))
    going.finish()
    browser.wait(lambda: browser.all(".edit"))
    at = browser.script(position)
    browser.wait(lambda: browser.script(position) > max(at, 0.3) + 0.2)
    assert browser.script("return document.getElementById('audio').duration") == 31
    browser.press("k")


def test_what_stands_there_stays_when_the_server_fails_for_a_moment(
    going: KeptRecording, site: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise LibraryError("the disk is gone; look for it")

    open_recording(site, browser, going.id)
    with monkeypatch.context() as patch:
        patch.setattr(Library, "recording", failing)
        browser.wait_text("#messages", "the disk is gone")
    assert browser.shown(".segment") is not None


def test_a_deletion_elsewhere_ends_the_page_of_what_is_recorded(
    going: KeptRecording, site: Site, browser: Browser
) -> None:
    open_recording(site, browser, going.id)
    browser.press("k")
    site.services.library.delete(going.id)
    browser.wait_text("#loading", "deleted")
    assert browser.shown("#recording") is None
    assert browser.script("return document.getElementById('audio').paused")


def record(site: Site, browser: Browser) -> str:
    """Record on the page, kept from its beginning; return the recording's id."""
    before = site.services.library.ids()
    browser.open(f"{site.url}record")
    browser.script(
        """
        window.sockets = [];
        window.WebSocket = class extends WebSocket {
          constructor(address) { super(address); sockets.push(this); }
        };
        """
    )
    browser.click("#keep")
    browser.click("#start")
    browser.wait_text("#keeping", "Being kept")
    (id,) = site.services.library.ids() - before
    return id


def test_a_deletion_elsewhere_is_told_where_it_is_recorded(site: Site, browser: Browser) -> None:
    site.services.library.delete(record(site, browser))
    browser.wait_text("#keeping", "Nothing is kept")
    assert "was deleted" in browser.text(".log")
    assert browser.find("#keep").get_attribute("aria-pressed") == "false"
    browser.click("#keep")
    browser.wait_text("#keeping", "Being kept")
    browser.click("#stop")
    browser.wait_text("#keeping", "Kept in the library")
    browser.click("#discard")
    browser.wait_text("#keeping", "othing is kept")


def test_what_was_kept_before_the_connection_was_lost_is_told(site: Site, browser: Browser) -> None:
    id = record(site, browser)
    browser.script("sockets[0].close();")
    browser.wait_text("#keeping", "Kept up to there")
    assert str(browser.find("#keeping a").get_attribute("href")).endswith(id)


def test_who_comes_late_to_many_captions_stands_at_their_end(site: Site, browser: Browser) -> None:
    hub = site.services.live
    for number in range(700):
        hub.emit(final(f"caption {number}", float(number)), float(number))
    browser.open(site.url)
    browser.wait(lambda: last_caption(browser) == "caption 699")
    gap = "const p = document.querySelector('.pane'); return p.scrollHeight - p.scrollTop"
    inside = browser.script("return document.querySelector('.pane').clientHeight")
    browser.wait(lambda: browser.script(gap) - inside < 2)
    browser.script("document.querySelector('.pane').scrollTop = 1000;")
    browser.wait(lambda: browser.shown(".newest"))
    before = top_caption(browser)
    for number in range(700, 720):
        hub.emit(final(f"caption {number}", float(number)), float(number))
    browser.wait(lambda: last_caption(browser) == "caption 719")
    assert top_caption(browser) == before
    browser.click(".newest")
    browser.wait(lambda: browser.script(gap) - inside < 2)


def last_caption(browser: Browser) -> str:
    found = "return document.querySelector('.log').lastElementChild?.dataset.text ?? ''"
    return str(browser.script(found))


def top_caption(browser: Browser) -> str:
    """Return the first caption that is seen."""
    found = """
        const top = document.querySelector(".pane").getBoundingClientRect().top;
        const lines = [...document.querySelectorAll(".caption")];
        return lines.find((line) => line.getBoundingClientRect().bottom > top).dataset.text;
    """
    return str(browser.script(found))
