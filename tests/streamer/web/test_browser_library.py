"""The library: found, heard, corrected, downloaded and deleted, by mouse and by keyboard."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from selenium.webdriver.common.keys import Keys

from streamer.audio import AudioBlock
from streamer.events import FinalTranscript, Word
from streamer.web.library.library import Library
from tests.streamer.web.browsing import CLIP, ENTER, ESCAPE, TAB, Browser, keep, open_browser
from tests.streamer.web.conftest import ROOT, Site

SPEECH = ROOT / "demo/librispeech.flac"
OTHER = ROOT / "tests/data/speech/1737-146161-0013.opus"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("profile")
    with open_browser(folder, switches=["autoplay-policy=no-user-gesture-required"]) as browser:
        yield browser


@pytest.fixture(scope="module")
def library(site: Site) -> Library:
    """The site's, with two recordings."""
    keep(site, SPEECH, "Buffaloes")
    keep(site, OTHER, "")
    return site.services.library


@pytest.fixture
def talk(site: Site, library: Library, browser: Browser) -> Iterator[str]:
    """Id of a recording whose page is open, and which nothing was done with yet."""
    id = keep(site, CLIP, "The house of Jos")
    open_recording(site, browser, id)
    browser.complaints()
    yield id
    if id in library.ids():
        library.delete(id)


def open_recording(site: Site, browser: Browser, id: str) -> None:
    """Open the page of a recording."""
    browser.open(f"{site.url}library/{id}")
    browser.wait(lambda: browser.shown(".segment"))


def rows(browser: Browser) -> list[str]:
    """Return the ids of the recordings that the list shows."""
    return [str(row.get_attribute("data-id")) for row in browser.all("#recordings li")]


def words(browser: Browser, selector: str = ".segment .words") -> str:
    """Return the words of the transcript on the page, without those for screen readers only."""
    return str(
        browser.script(
            """
            const copy = document.getElementById("segments").cloneNode(true);
            for (const hidden of copy.querySelectorAll(".visually-hidden")) hidden.remove();
            const lines = [...copy.querySelectorAll(args[0])].map((line) => line.textContent);
            return lines.join(" ").replace(/\\s+/g, " ").trim();
            """,
            selector,
        )
    )


def fetch(address: str) -> tuple[bytes, Any]:
    """Return the body and the head of what an address gives."""
    with urllib.request.urlopen(address, timeout=30) as answer:
        return answer.read(), answer.headers


def final(text: str, start_s: float) -> FinalTranscript:
    """Return what an utterance of half a second said."""
    some = text.split()
    times = np.linspace(start_s, start_s + 0.5, len(some) + 1)
    spoken = tuple(Word(w, times[n], times[n + 1], 0.9) for n, w in enumerate(some))
    return FinalTranscript(1, text, spoken, start_s, start_s + 0.5, start_s + 1, "silence")


def time_of_playing(browser: Browser) -> float:
    """Return how far the player is, seconds."""
    return float(browser.script("return document.getElementById('audio').currentTime"))


def test_the_list_is_newest_first(site: Site, library: Library, browser: Browser) -> None:
    browser.open(f"{site.url}library")
    newest = [recording.id for recording in library.recordings().recordings]
    browser.wait(lambda: rows(browser) == newest)
    assert browser.text("#found") == f"{len(newest)} recordings"


def test_recordings_are_found_by_what_was_said(
    site: Site, library: Library, browser: Browser
) -> None:
    browser.open(f"{site.url}library")
    recordings = library.recordings().recordings
    browser.wait(lambda: len(rows(browser)) == len(recordings))
    wanted = next(r for r in recordings if r.title == "Buffaloes")
    word = next(w for w in wanted.text.split() if len(w) > 5)
    browser.find("#query").send_keys(word)
    browser.wait(lambda: rows(browser) == [wanted.id])
    assert browser.text("mark").lower().startswith(word[:3])
    browser.find("#query").send_keys(" nosuchword")
    browser.wait(lambda: browser.shown("#no-match"))
    browser.click("#clear")
    browser.wait(lambda: len(rows(browser)) == len(recordings))


def test_an_empty_library_tells_what_to_do(site: Site, browser: Browser) -> None:
    browser.open(f"{site.url}library")
    browser.script("document.getElementById('recordings').replaceChildren();")
    hint = browser.find("#nothing").get_attribute("textContent") or ""
    assert "leave nothing on the disk unless you ask" in hint


def test_more_recordings_come_when_asked_for(
    site: Site, library: Library, browser: Browser
) -> None:
    model = site.services.models.name
    made = []
    for number in range(25):
        kept = library.begin(f"Note {number}", "upload", model)
        kept.push(AudioBlock(np.zeros(1600, np.float32), 0))
        kept.finish()
        made.append(kept.id)
    browser.open(f"{site.url}library?q=note")
    browser.wait(lambda: len(rows(browser)) == 20)
    browser.click("#more")
    browser.wait(lambda: rows(browser) == made[::-1])
    assert browser.shown("#more") is None
    for id in made:
        library.delete(id)


def test_playing_moves_and_marks_the_word_that_is_spoken(talk: str, browser: Browser) -> None:
    browser.press("k")
    browser.wait(lambda: time_of_playing(browser) > 0.3)
    browser.wait(lambda: browser.all(".word.spoken"))
    spoken = browser.script(
        """
        const audio = document.getElementById("audio");
        audio.pause();
        await new Promise((resolve) => setTimeout(resolve, 100));
        const { start, end } = document.querySelector(".word.spoken").dataset;
        return [Number(start), audio.currentTime, Number(end)];
        """
    )
    assert spoken[0] <= spoken[1] <= spoken[2] + 0.3


def test_a_click_on_a_word_plays_from_it(talk: str, browser: Browser) -> None:
    word = browser.all(".word")[5]
    start_s = float(word.get_attribute("data-start") or "nan")
    word.click()
    browser.wait(lambda: time_of_playing(browser) >= start_s)
    browser.wait(lambda: "spoken" in (word.get_attribute("class") or ""))
    browser.press("k")
    assert browser.wait(lambda: browser.script("return document.getElementById('audio').paused"))
    assert time_of_playing(browser) < start_s + 5


@pytest.mark.parametrize("kind", ["waveform", "spectrogram"])
def test_a_click_on_a_picture_goes_there(kind: str, talk: str, browser: Browser) -> None:
    picture = browser.wait(lambda: browser.shown(f".{kind}"))
    picture.click()
    length = float(browser.script("return document.getElementById('audio').duration"))
    browser.wait(lambda: abs(time_of_playing(browser) - length / 2) < 0.1)
    left = browser.script("return document.querySelector(args[0]).style.left", f".{kind} .playhead")
    assert float(left.removesuffix("%")) == pytest.approx(50, abs=1.5)


def test_keys_go_back_and_forward(talk: str, browser: Browser) -> None:
    browser.wait(lambda: browser.script("return document.getElementById('audio').duration > 6"))
    browser.press("l")
    browser.wait(lambda: time_of_playing(browser) == pytest.approx(5, abs=0.1))
    browser.press("j", "j")
    browser.wait(lambda: time_of_playing(browser) == 0)


def test_a_correction_stays(talk: str, site: Site, browser: Browser) -> None:
    before = words(browser)
    browser.click(".edit")
    box = browser.find("textarea")
    box.clear()
    box.send_keys("She brought everybody to the house")
    assert "1 segment changed" in browser.wait_text("#unsaved", "not saved")
    box.send_keys(Keys.CONTROL, ENTER)
    browser.wait_text("#messages", "Saved")
    assert words(browser).startswith("She brought everybody to the house")
    open_recording(site, browser, talk)
    assert words(browser).startswith("She brought everybody to the house")
    assert "checked" in browser.text("#about")
    assert site.services.library.recording(talk, 0).text.split() == before.split()
    assert browser.complaints() == []


def test_corrected_words_can_be_pointed_at(talk: str, browser: Browser) -> None:
    browser.click(".edit")
    browser.find("textarea").clear()
    browser.find("textarea").send_keys("she brought everybody")
    browser.click("#save")
    browser.wait(lambda: words(browser, ".segment:first-child .word").startswith("she"))
    times = [float(w.get_attribute("data-start") or "nan") for w in browser.all(".word")]
    assert times == sorted(times)
    assert browser.all(".segment:first-child .doubtful") == []


def test_the_history_can_be_read_and_restored(talk: str, site: Site, browser: Browser) -> None:
    before = words(browser)
    browser.press("e")
    browser.find("textarea").send_keys(" and more")
    browser.click("#save")
    browser.wait(lambda: "and more" in words(browser))
    browser.click("#history summary")
    browser.wait(lambda: len(browser.all("#revisions li")) == 2)
    browser.click('#revisions [aria-label="Look at revision 0"]')
    browser.wait_text("#old-text", "revision 0")
    assert words(browser) == before
    assert browser.all(".edit") == []
    browser.click("#old-leave")
    browser.wait(lambda: "and more" in words(browser))
    browser.click('#revisions [aria-label="Restore revision 0"]')
    browser.wait(lambda: words(browser) == before)
    browser.wait(lambda: len(browser.all("#revisions li")) == 3)
    assert site.services.library.recording(talk).revision == 2


def test_a_transcript_can_be_called_right(talk: str, site: Site, browser: Browser) -> None:
    before = words(browser)
    browser.click("#confirm")
    browser.wait_text("#about", "checked")
    assert browser.shown("#confirm") is None
    kept = site.services.library.recording(talk)
    assert kept.reviewed
    assert words(browser) == before


def test_what_was_typed_survives_somebody_elses_correction(
    talk: str, site: Site, browser: Browser
) -> None:
    library, models = site.services.library, site.services.models
    texts = [segment.text for segment in library.recording(talk).segments]
    browser.press("e")
    browser.find("textarea").send_keys(" of mine")
    library.correct(talk, 0, ["theirs", *texts[1:]], models)
    browser.click("#save")
    browser.wait(lambda: browser.shown("dialog"))
    assert "Somebody else" in browser.text("dialog h2")
    browser.click('dialog button[value="yes"]')
    browser.wait(lambda: browser.shown(".unsaved"))
    assert "of mine" in words(browser)
    browser.click("#save")
    browser.wait_text("#messages", "Saved")
    assert library.recording(talk).revision == 2
    assert "of mine" in library.recording(talk).text
    assert library.recording(talk, 1).text.startswith("theirs")
    assert browser.complaints("409") == []


def test_changes_can_be_left_and_undone(talk: str, site: Site, browser: Browser) -> None:
    before = words(browser)
    browser.press("e")
    browser.find("textarea").send_keys(" never mind")
    browser.press(ESCAPE)
    assert browser.all("textarea") == []
    assert "never mind" in words(browser)
    browser.click("#undo")
    assert words(browser) == before
    assert browser.shown("#savebar") is None
    assert site.services.library.recording(talk).revision == 0


def test_leaving_with_changes_asks_first(talk: str, site: Site, browser: Browser) -> None:
    browser.click(".edit")
    browser.find("textarea").send_keys(" x")
    asked = browser.script(
        """
        const event = new Event("beforeunload", { cancelable: true });
        dispatchEvent(event);
        return event.defaultPrevented;
        """
    )
    assert asked
    browser.click("#undo")


def test_all_can_be_done_by_keyboard(talk: str, site: Site, browser: Browser) -> None:
    browser.press(TAB)
    for _ in range(60):
        if browser.script("return document.activeElement.id") == "segments":
            break
        browser.press(TAB)
    assert browser.script("return document.activeElement.id") == "segments"
    outline = browser.find("#segments").value_of_css_property("outline-style")
    assert outline not in ("none", "hidden")
    browser.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    chosen = browser.find(".word.chosen")
    assert chosen == browser.all(".word")[3]
    browser.press(ENTER)
    start_s = float(chosen.get_attribute("data-start") or "nan")
    browser.wait(lambda: time_of_playing(browser) >= start_s)
    browser.press(" ")
    browser.wait(lambda: browser.script("return document.getElementById('audio').paused"))
    browser.press("e")
    browser.press(" typed")
    browser.driver.switch_to.active_element.send_keys(Keys.CONTROL, ENTER)
    browser.wait_text("#messages", "Saved")
    assert "typed" in site.services.library.recording(talk).text


def test_a_recording_that_goes_on_grows_on_its_page(
    library: Library, site: Site, browser: Browser
) -> None:
    kept = library.begin("Now", "live", site.services.models.name)
    kept.push(AudioBlock(np.zeros(16_000, np.float32), 0))
    kept.add(final("first words", 0.2))
    open_recording(site, browser, kept.id)
    assert "being recorded" in browser.text("#about")
    assert browser.all(".edit") == []
    kept.push(AudioBlock(np.zeros(16_000, np.float32), 16_000))
    kept.add(final("more", 1.2))
    browser.wait(lambda: words(browser) == "first words more")
    kept.finish()
    browser.wait(lambda: len(browser.all(".edit")) == 2)
    library.delete(kept.id)


def test_words_that_were_not_understood_can_be_filled_in(
    library: Library, site: Site, browser: Browser
) -> None:
    kept = library.begin("", "live", site.services.models.name)
    kept.push(AudioBlock(np.zeros(32_000, np.float32), 0))
    kept.add(final("", 0.2))
    kept.finish()
    open_recording(site, browser, kept.id)
    assert words(browser) == "(nothing)"
    browser.press("e")
    browser.find("textarea").send_keys("but I said it")
    browser.click("#save")
    browser.wait(lambda: words(browser) == "but I said it")
    library.delete(kept.id)


def test_a_recording_is_renamed(talk: str, site: Site, browser: Browser) -> None:
    browser.click("#rename")
    browser.press("Anything <b>else</b>", ENTER)
    browser.wait_text("#title", "Anything <b>else</b>")
    browser.wait(lambda: site.services.library.recording(talk).title == "Anything <b>else</b>")
    assert browser.script("return document.activeElement.id") == "rename"


def test_what_is_downloaded_is_what_stands_there(talk: str, browser: Browser) -> None:
    said = words(browser)
    links = {link.text: str(link.get_attribute("href")) for link in browser.all("#downloads a")}
    assert list(links) == ["SRT", "VTT", "TXT", "JSON", "Audio"]
    got = {name: fetch(address) for name, address in links.items()}
    for name in ("SRT", "VTT", "TXT", "JSON"):
        assert "attachment" in got[name][1]["Content-Disposition"]
    assert got["TXT"][0].decode().split() == said.split()
    assert got["VTT"][0].startswith(b"WEBVTT")
    assert got["SRT"][0].startswith(b"1\n00:00:0")
    assert said.split()[0] in got["SRT"][0].decode()
    assert json.loads(got["JSON"][0])
    samples, rate = soundfile.read(io.BytesIO(got["Audio"][0]))
    assert rate == 16_000
    assert len(samples) / rate == pytest.approx(8.155, abs=0.05)


@pytest.mark.parametrize(
    ("place", "name"), [(1, "The house of Jos.srt"), (5, "The house of Jos.wav")]
)
def test_a_click_brings_the_file_by_the_title(
    place: int, name: str, talk: str, browser: Browser, tmp_path: Path
) -> None:
    link = f"#downloads a:nth-child({place})"
    wanted, _ = fetch(str(browser.find(link).get_attribute("href")))
    file = browser.download(link, tmp_path)
    assert file.name == name
    assert file.read_bytes() == wanted
    assert browser.complaints() == []


def test_a_recording_is_deleted_only_when_that_is_confirmed(
    talk: str, site: Site, browser: Browser
) -> None:
    audio = site.services.library.audio(talk)
    browser.click("#delete")
    browser.wait(lambda: browser.shown("dialog"))
    browser.press(ESCAPE)
    browser.wait(lambda: browser.shown("dialog") is None)
    assert talk in site.services.library.ids()
    browser.click("#delete")
    browser.click('dialog button[value="yes"]')
    browser.wait(lambda: browser.driver.current_url.endswith("/library"))
    browser.wait(lambda: rows(browser))
    assert talk not in rows(browser)
    assert not audio.exists()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(f"{site.url}api/recordings/{talk}")
    browser.open(f"{site.url}library/{talk}")
    assert "no such" in browser.text("main").lower()


def test_a_recording_is_deleted_from_the_list(
    site: Site, library: Library, browser: Browser
) -> None:
    id = keep(site, OTHER, "To go")
    browser.open(f"{site.url}library")
    browser.wait(lambda: id in rows(browser))
    browser.click(f'[data-id="{id}"] button')
    browser.click('dialog button[value="yes"]')
    browser.wait(lambda: id not in rows(browser))
    browser.wait_text("#messages", "deleted")
    assert id not in library.ids()
