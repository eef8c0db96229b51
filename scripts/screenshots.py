"""Take the README's pictures of the pages: a server, a browser, and the bundled recording.

    python scripts/screenshots.py docs

Needs Chromium and its driver, as the browser tests do.  Nothing in the pictures is made up:
the captions are the default model's, of demo/librispeech.flac.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.streamer.web.browsing import Browser, keep, open_browser, write_wav
from tests.streamer.web.conftest import ROOT, Site, running_site

SPEECH = ROOT / "demo/librispeech.flac"
SAID = "and she made jos believe that it was his own great social talents and wit"
COLOURS = 96
SIZE = (1040, 660)


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where page-*.png go")
    folder = parser.parse_args().folder
    with TemporaryDirectory() as temporary:
        sound = write_wav(Path(temporary) / "microphone.wav", SPEECH)
        with (
            running_site(Path(temporary) / "data") as site,
            open_browser(Path(temporary) / "profile", sound, ["hide-scrollbars"]) as browser,
        ):
            browser.resize(*SIZE)
            correcting(site, browser, folder / "page-correct.png")
            recording(site, browser, folder / "page-record.png")
            live(site, browser, folder / "page-live.png")


def live(site: Site, browser: Browser, path: Path) -> None:
    """Captions of this machine, with words that may still change."""
    look(browser, site.url, "light")
    site.play_live(SPEECH)
    browser.wait(lambda: len(browser.all(".caption")) > 1)
    browser.wait(lambda: len(browser.text(".settled")) > 12 and browser.text(".unsettled"))
    save(browser, path)


def recording(site: Site, browser: Browser, path: Path) -> None:
    """Captions of the browser's microphone, which are being kept."""
    look(browser, f"{site.url}record", "dark")
    browser.find("#title").send_keys("Three sentences")
    browser.click("#keep")
    browser.click("#start")
    browser.wait(lambda: browser.all(".caption"))
    browser.wait(lambda: len(browser.text(".settled")) > 8 and browser.text(".unsettled"))
    save(browser, path)
    browser.click("#stop")
    browser.wait_text("#keeping", "Kept in the library")


def correcting(site: Site, browser: Browser, path: Path) -> None:
    """A recording that is heard and corrected."""
    look(browser, f"{site.url}library/{keep(site, SPEECH, 'Three sentences')}", "light")
    browser.wait(lambda: len([p for p in browser.all(".picture") if p.is_displayed()]) == 2)
    browser.wait(lambda: browser.all(".segment .word"))
    browser.all(".segment .word")[7].click()
    browser.wait(lambda: browser.all(".word.spoken"))
    browser.press("k")
    browser.all(".edit")[1].click()
    browser.find("textarea").clear()
    browser.find("textarea").send_keys(SAID)
    browser.script("window.scrollTo(0, 0);")
    browser.resize(SIZE[0], 900)
    save(browser, path)
    browser.click("#undo")
    browser.resize(*SIZE)


def look(browser: Browser, address: str, theme: str) -> None:
    """Open a page in a theme."""
    browser.open(address)
    browser.script("localStorage.theme = args[0];", theme)
    browser.open(address)


def save(browser: Browser, path: Path) -> None:
    """Save what is in the window with few colours, which text needs no more of."""
    with Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())) as picture:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(path, optimize=True)


if __name__ == "__main__":
    main()
