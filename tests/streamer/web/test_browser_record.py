"""The recording page: a microphone that hears a file, and files that are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jiwer
import pytest

from tests.streamer.web.browsing import (
    CLIP,
    Browser,
    offline,
    open_browser,
    spoken,
    write_wav,
)
from tests.streamer.web.conftest import ROOT, Site

LONG = ROOT / "demo/librispeech.flac"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("profile")
    sound = write_wav(folder / "microphone.wav", CLIP, silence_s=1.5)
    with open_browser(folder / "profile", sound) as browser:
        yield browser


@pytest.fixture(scope="module")
def recorded(site: Site, browser: Browser) -> dict[str, Any]:
    """Record the whole sound and keep it at its end; return what was seen."""
    browser.open(f"{site.url}record")
    seen: dict[str, Any] = {"before": browser.text("#keeping")}
    browser.find("#title").send_keys("Into the microphone")
    browser.click("#start")
    browser.wait_text("#state", "Recording")
    browser.wait(lambda: browser.shown(".partial .settled") and browser.text(".settled"))
    seen["level"] = browser.find("#level").get_attribute("aria-valuenow")
    browser.wait(lambda: browser.all(".caption"))
    browser.wait(lambda: browser.text("#elapsed") >= "0:09")
    browser.click("#stop")
    browser.wait_text("#state", "Finished")
    seen["kept"] = site.services.library.count()
    seen["offer"] = browser.text("#keeping")
    seen["text"] = spoken(browser)
    browser.click("#keep")
    browser.wait_text("#keeping", "Kept in the library")
    seen["link"] = browser.find("#keeping a").get_attribute("href")
    return seen


def test_captions_of_the_microphone_are_those_of_the_recording(
    recorded: dict[str, Any], site: Site
) -> None:
    whole = " ".join(final.text for final in offline(site, CLIP))
    assert jiwer.cer(whole, recorded["text"]) < 0.35


def test_the_level_of_speech_is_shown(recorded: dict[str, Any]) -> None:
    assert -60 < int(recorded["level"]) <= 0


def test_nothing_is_kept_before_it_is_asked_for(recorded: dict[str, Any], site: Site) -> None:
    assert "Nothing is kept" in recorded["before"]
    assert recorded["kept"] == 0
    assert "Nothing is kept yet" in recorded["offer"]
    assert site.services.library.count() == 1


def test_what_is_kept_late_is_whole_and_has_its_title(recorded: dict[str, Any], site: Site) -> None:
    kept = site.services.library.recording(recorded["link"].rpartition("/")[2])
    assert kept.title == "Into the microphone"
    assert kept.text.split() == recorded["text"].split()
    assert kept.duration_s > 8


def test_what_was_kept_can_be_discarded(
    recorded: dict[str, Any], site: Site, browser: Browser
) -> None:
    browser.click("#discard")
    browser.wait_text("#keeping", "Discarded")
    browser.wait(lambda: site.services.library.count() == 0)
    assert browser.shown("#discard") is None
    assert browser.complaints() == []


def test_a_recording_can_be_kept_from_its_beginning(
    recorded: dict[str, Any], site: Site, browser: Browser
) -> None:
    browser.open(f"{site.url}record")
    browser.click("#keep")
    browser.wait_text("#keeping", "Will be kept")
    browser.click("#start")
    browser.wait_text("#keeping", "Being kept, from the start")
    browser.wait(lambda: browser.text("#elapsed") >= "0:02")
    browser.click("#stop")
    browser.wait_text("#keeping", "Kept in the library")
    assert site.services.library.count() == 1
    browser.click("#discard")
    browser.wait(lambda: site.services.library.count() == 0)


def test_a_full_server_says_so(site: Site, browser: Browser) -> None:
    browser.open(f"{site.url}record")
    with ExitStack() as everybody:
        for _ in range(site.services.desk.seats):
            everybody.enter_context(site.services.desk.seat("stream"))
        browser.click("#start")
        browser.wait_text("#state", "Stopped")
        said = browser.text("#trouble")
    assert str(site.services.desk.seats) in said
    assert browser.shown("#start")


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("NotAllowedError", "not allowed"),
        ("NotFoundError", "No microphone was found"),
        ("NotReadableError", "another program"),
    ],
)
def test_why_there_is_no_microphone_is_said(
    cause: str, said: str, site: Site, browser: Browser
) -> None:
    browser.open(f"{site.url}record")
    browser.script(
        "navigator.mediaDevices.getUserMedia = async () => "
        "{ throw new DOMException('denied', args[0]); }",
        cause,
    )
    browser.click("#start")
    assert browser.wait_text("#trouble", said)
    assert browser.find("#trouble").get_attribute("role") == "alert"
    assert browser.shown("#start")


def test_a_page_that_is_not_secure_says_what_to_do(site: Site, browser: Browser) -> None:
    browser.open(f"{site.url}record")
    browser.script("Object.defineProperty(window, 'isSecureContext', { value: false });")
    browser.click("#start")
    assert "localhost" in browser.wait_text("#trouble", "secure pages")


def test_a_lost_connection_is_said(site: Site, browser: Browser) -> None:
    browser.open(f"{site.url}record")
    browser.script(
        """
        window.sockets = [];
        window.WebSocket = class extends WebSocket {
          constructor(address) { super(address); sockets.push(this); }
        };
        """
    )
    browser.click("#start")
    browser.wait_text("#state", "Recording")
    browser.script("sockets[0].close();")
    browser.wait_text("#state", "Stopped")
    assert "connection was lost" in browser.text("#trouble")
    assert browser.text("#keeping") == "Nothing was kept."


def test_audio_that_a_slow_connection_cannot_take_is_given_up_and_told(
    site: Site, browser: Browser
) -> None:
    browser.open(f"{site.url}record")
    sent = browser.script(
        """
        const sent = [];
        class Slow extends EventTarget {
          static OPEN = 1;
          readyState = 1;
          bufferedAmount = 0;
          send(data) {
            sent.push(data);
            if (data.byteLength) this.bufferedAmount += data.byteLength;
          }
        }
        window.WebSocket = Slow;
        const { Session } = await import("/static/session.js");
        const nothing = () => {};
        const handlers = { event: nothing, kept: nothing, finished: nothing, closed: nothing };
        const session = new Session(16000, handlers);
        const frames = (number) => {
          for (let n = 0; n < number; n++) session.send(new Int16Array(1600).buffer);
        };
        frames(150);
        const most = session.unsent_s;
        session.socket.bufferedAmount = 0;
        frames(2);
        session.end();
        const told = sent.filter((data) => typeof data === "string").map(JSON.parse);
        const samples = sent.filter((data) => data.byteLength).length * 1600;
        return { most, told, samples, all: session.audio_s };
        """
    )
    assert sent["most"] < 11
    assert [order["type"] for order in sent["told"]] == ["lost", "end"]
    assert sent["samples"] + sent["told"][0]["samples"] == 152 * 1600
    assert sent["all"] == pytest.approx(15.2)


def test_what_is_heard_before_the_connection_stands_is_sent_then(
    site: Site, browser: Browser
) -> None:
    browser.open(f"{site.url}record")
    sent = browser.script(
        """
        const sent = [];
        class Opening extends EventTarget {
          static OPEN = 1;
          readyState = 0;
          bufferedAmount = 0;
          send(data) { sent.push(typeof data === "string" ? JSON.parse(data).type : data[0]); }
        }
        window.WebSocket = Opening;
        const { Session } = await import("/static/session.js");
        const session = new Session(16000, {});
        session.keep(true, "Title");
        const frame = (n) => Object.assign([n], { byteLength: 3200 });
        session.send(frame(1));
        session.send(frame(2));
        session.socket.readyState = 1;
        session.socket.dispatchEvent(new Event("open"));
        session.send(frame(3));
        return sent;
        """
    )
    assert sent == ["keep", 1, 2, 3]


def upload(site: Site, browser: Browser, path: Path, keep: bool = False) -> None:
    """Send a file, and note what the progress says."""
    browser.open(f"{site.url}record")
    browser.wait(lambda: browser.find("#file"), "no form to send a file")
    browser.script(
        """
        window.phases = [];
        const phase = document.getElementById("phase");
        new MutationObserver(() => phases.push(phase.textContent))
            .observe(phase, { childList: true });
        """
    )
    browser.find("#file").send_keys(str(path))
    if keep:
        browser.click("#keep-file")
    browser.click("#send")


def test_a_file_is_transcribed_as_on_the_command_line(site: Site, browser: Browser) -> None:
    upload(site, browser, LONG)
    browser.wait_text("#uploaded", "Nothing was kept")
    assert spoken(browser) == " ".join(final.text for final in offline(site, LONG))
    phases = browser.script("return phases")
    assert phases[0].startswith("Sending")
    assert any(phase.startswith("Transcribing") and "of 0:21" in phase for phase in phases)
    assert site.services.library.count() == 0
    assert browser.complaints() == []


def test_a_file_is_kept_if_that_was_asked_for(site: Site, browser: Browser) -> None:
    upload(site, browser, CLIP, keep=True)
    browser.wait_text("#uploaded", "Kept")
    said = spoken(browser)
    browser.click("#uploaded a")
    browser.wait(lambda: browser.shown(".segment"))
    assert browser.text("#title") == CLIP.stem
    (kept,) = site.services.library.recordings().recordings
    assert kept.text.split() == said.split()
    site.services.library.delete(kept.id)


def test_an_upload_can_be_cancelled(site: Site, browser: Browser) -> None:
    upload(site, browser, LONG)
    browser.click("#cancel")
    browser.wait_text("#uploaded", "Cancelled")
    assert browser.shown("#cancel") is None
    browser.wait(lambda: site.services.desk.taken == 0)
    assert site.services.library.count() == 0


def test_a_file_that_is_no_recording_is_refused_with_the_reason(
    site: Site, browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "letter.wav"
    path.write_text("Dear Sir or Madam,\n" * 100)
    upload(site, browser, path)
    browser.wait(lambda: browser.shown("#alerts .message"))
    assert "Error" in browser.text("#alerts")
    assert browser.find("#send").is_enabled()
    browser.complaints()
