"""A headless Chromium that looks at the pages as a user does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from streamer.events import Event, FinalTranscript
from streamer.replay import WavReplaySource
from streamer.runner import run_inline
from tests.streamer.web.conftest import ROOT, Site

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
SWITCHES = (
    "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-dev-shm-usage "
    "disable-background-networking disable-component-update disable-sync mute-audio lang=en-GB"
)
PATIENCE_S = 60.0
"""Time after which a page that does not come to show something never will."""

CLIP = ROOT / "tests/data/speech/669-129074-0011.opus"
T = TypeVar("T")


class Browser:
    """One window.

    Args:
        driver: What steers it.
    """

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        """Go to a page; wait until its scripts have run.

        Where the page before was itself about to go elsewhere, that may win: it is left again.
        """
        self.driver.get(address)
        if urlsplit(self.driver.current_url).path != urlsplit(address).path:
            self.driver.get(address)
        state = "return document.readyState === 'complete' && document.body !== null"
        self.wait(lambda: self.driver.execute_script(state) or None, f"{address} never came")

    def find(self, selector: str) -> WebElement:
        """Return the first element of a CSS selector."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Return all elements of a CSS selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Return the visible text of the first element of a selector."""
        return self.find(selector).text

    def click(self, selector: str) -> None:
        """Wait until an element is there to be clicked, and click it."""

        def clicked() -> bool:
            element = self.shown(selector)
            if element is None or not element.is_enabled():
                return False
            element.click()
            return True

        self.wait(clicked, f"{selector} never could be clicked")

    def download(self, selector: str, folder: Path) -> Path:
        """Click a link, and return the file that comes into an empty folder, once it is whole."""
        allowed = {"behavior": "allow", "downloadPath": str(folder)}
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
        self.click(selector)

        def whole() -> Path | None:
            files = [path for path in folder.iterdir() if not path.name.startswith(".")]
            return next((path for path in files if path.suffix != ".crdownload"), None)

        return self.wait(whole, f"{selector} never gave a file")

    def shown(self, selector: str) -> WebElement | None:
        """Return the first visible element of a selector, or None."""
        return next((found for found in self.all(selector) if found.is_displayed()), None)

    def wait(self, condition: Callable[[], T | None], why: str = "") -> T:
        """Wait until a condition holds and return what it gave.

        A part of the page that is being replaced counts as not there yet.
        """
        ignored = (StaleElementReferenceException,)
        waiting = WebDriverWait(self.driver, PATIENCE_S, 0.05, ignored)
        return waiting.until(lambda _: condition(), why)

    def wait_text(self, selector: str, part: str) -> str:
        """Wait until a part of text is in an element, and return its text."""
        return self.wait(
            lambda: self.text(selector) if part in self.text(selector) else None,
            f"{selector} never said {part!r}",
        )

    def press(self, *keys: str) -> None:
        """Press keys, one after another, wherever the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def script(self, body: str, *arguments: Any) -> Any:
        """Run a function body in the page and return what it returns; it may await."""
        program = (
            "const done = arguments[arguments.length - 1];"
            f"(async (...args) => {{ {body} }})(...[...arguments].slice(0, -1))"
            ".then(value => done([value]), error => done(String(error)));"
        )
        found = self.driver.execute_async_script(program, *arguments)
        assert isinstance(found, list), found
        return found[0]

    def complaints(self, expected: str = "") -> list[str]:
        """Return what the console has complained of since the last time.

        Args:
            expected: What holds this text is left out.
        """
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] != "INFO" and not (expected and expected in entry["message"])
        ]

    def resize(self, width: int, height: int) -> None:
        """Make the page so large, CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@contextmanager
def open_browser(
    profile: Path, sound: Path | None = None, switches: Sequence[str] = ()
) -> Iterator[Browser]:
    """Start a browser; skips the test where there is none.

    Args:
        profile: Empty folder for what it remembers and downloads.
        sound: WAV file that its microphone hears, once.
        switches: More of its command line, without the dashes.
    """
    if not (CHROMIUM.exists() and DRIVER.exists()):
        pytest.skip("needs Chromium and its driver (packages chromium and chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    heard = [] if sound is None else [f"use-file-for-fake-audio-capture={sound}%noloop"]
    fake = ["use-fake-device-for-media-stream", "use-fake-ui-for-media-stream", *heard]
    for switch in [*SWITCHES.split(), f"user-data-dir={profile}", *fake, *switches]:
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.set_capability("unhandledPromptBehavior", "accept")
    service = Service(str(DRIVER), log_output=os.devnull)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_script_timeout(PATIENCE_S)
        browser = Browser(driver)
        browser.resize(1200, 900)
        yield browser
    finally:
        driver.quit()


def write_wav(path: Path, recording: Path, silence_s: float = 0.0) -> Path:
    """Write a recording as 16-bit WAV, with silence behind it."""
    samples, rate = soundfile.read(recording, dtype="float32")
    silence = np.zeros(round(silence_s * rate), np.float32)
    soundfile.write(path, np.concatenate([samples, silence]), rate, subtype="PCM_16")
    return path


class Collected:
    """A sink that keeps the finals."""

    def __init__(self) -> None:
        self.finals: list[FinalTranscript] = []

    def emit(self, event: Event, emitted_s: float) -> None:
        """Keep it if it is a final with words."""
        if isinstance(event, FinalTranscript) and event.text:
            self.finals.append(event)

    def close(self) -> None:
        """Nothing to finish."""


def offline(site: Site, recording: Path) -> list[FinalTranscript]:
    """Return what the captioner reads in a recording as fast as it goes; read once only."""
    if recording not in _read:
        sink = Collected()
        stream = site.services.models.stream(thrifty=False)
        with WavReplaySource([recording], "max") as source:
            run_inline(source, stream, sink)
        _read[recording] = sink.finals
    return _read[recording]


_read: dict[Path, list[FinalTranscript]] = {}


def keep(site: Site, recording: Path, title: str) -> str:
    """Put a recording into the library with its transcript; return its id."""
    finals = offline(site, recording)
    kept = site.services.library.begin(title, "upload", site.services.models.name)
    with WavReplaySource([recording], "max") as source:
        for block in source:
            kept.push(block)
    for final in finals:
        kept.add(final)
    kept.finish()
    return kept.id


def spoken(browser: Browser, selector: str = ".caption") -> str:
    """Return the captions on the page without what is for screen readers."""
    return " ".join(str(element.get_attribute("data-text")) for element in browser.all(selector))


ENTER, ESCAPE, TAB = Keys.ENTER, Keys.ESCAPE, Keys.TAB
