"""Every page: no complaint of the browser, small screens, keyboard, colours, plain text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.streamer.web.browsing import CLIP, ENTER, ESCAPE, TAB, Browser, keep, open_browser
from tests.streamer.web.conftest import Site

OF_OUR_OWN = """
const captionsOfOurOwn = async () => {
  const { CaptionView } = await import("/static/captions.js");
  const region = document.getElementById("captions");
  const copy = region.cloneNode(true);
  region.replaceWith(copy);  // the page's own view would follow what is shown as well
  return new CaptionView(copy);
};
"""
"""A script's function: a view in a pane that nobody else scrolls."""

PAGES = ("", "record", "library", "learn", "inference", "recording", "nowhere")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def recording(site: Site) -> str:
    return keep(site, CLIP, "The house of Jos")


@pytest.fixture(params=PAGES, ids=[name or "live" for name in PAGES])
def page(request: pytest.FixtureRequest, site: Site, recording: str) -> str:
    """Address of each page in turn."""
    name = request.param
    return site.url + (f"library/{recording}" if name == "recording" else name)


def settled(browser: Browser, address: str) -> None:
    """Open a page and wait until it is filled."""
    browser.complaints()
    browser.open(address)
    browser.wait(lambda: browser.script("return document.readyState === 'complete'"))
    if "library/" in address:
        browser.wait(lambda: browser.shown(".segment"))
        browser.wait(lambda: len([p for p in browser.all(".picture") if p.is_displayed()]) == 2)


def test_a_page_needs_nothing_that_its_policy_forbids(page: str, browser: Browser) -> None:
    settled(browser, page)
    expected = "404" if page.endswith("nowhere") else ""
    assert browser.complaints(expected) == []


@pytest.mark.parametrize("width", [360, 1920])
def test_a_page_fits_any_width(page: str, width: int, browser: Browser) -> None:
    browser.resize(width, 740)
    try:
        settled(browser, page)
        wide = browser.script("return document.documentElement.scrollWidth")
    finally:
        browser.resize(1200, 900)
    assert wide <= width


def test_a_page_can_be_found_through_by_ear(page: str, browser: Browser) -> None:
    settled(browser, page)
    assert len(browser.all("h1")) == 1
    assert len(browser.all("main")) == 1
    assert len(browser.all('nav[aria-label="Pages"]')) == 1
    assert browser.find("#alerts").get_attribute("role") == "alert"
    assert browser.find("#messages").get_attribute("role") == "status"
    unnamed = browser.script(
        """
        const named = (e) => e.ariaLabel || e.textContent.trim() || e.labels?.length || e.title ||
            document.querySelector(`[aria-labelledby="${e.id}"]`);
        const all = [...document.querySelectorAll('button, a, input, select, textarea')];
        return all.filter((e) => e.type !== 'hidden' && !named(e)).map((e) => e.outerHTML);
        """
    )
    assert unnamed == []


def test_ids_are_given_once(page: str, browser: Browser) -> None:
    settled(browser, page)
    ids = browser.script("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert sorted(ids) == sorted(set(ids))


def test_the_first_key_skips_to_the_content(site: Site, browser: Browser) -> None:
    settled(browser, f"{site.url}library")
    browser.press(TAB)
    assert browser.driver.switch_to.active_element.get_attribute("class") == "skip"
    browser.press(ENTER)
    assert browser.script("return document.activeElement.id") == "main"


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
def test_text_stands_out_of_its_ground(theme: str, site: Site, browser: Browser) -> None:
    browser.open(site.url)
    browser.click(f'#theme option[value="{theme}"]')
    weak = browser.script(CONTRASTS)
    browser.open(f"{site.url}library")
    assert browser.script("return document.documentElement.dataset.theme") == theme
    browser.click('#theme option[value=""]')
    assert weak == []


CONTRASTS = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgb = (color) => {
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const light = (color) => {
  const [r, g, b] = rgb(color).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const probe = document.body.appendChild(document.createElement("p"));
const color = (name) => {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
};
const pairs = [
  ...["ink", "muted", "accent", "good", "warn", "danger"].flatMap((ink) =>
      [[ink, "paper"], [ink, "surface"]]),
  ["muted", "raised"], ["ink", "soft"], ["ink", "warn-soft"], ["ink", "danger-soft"],
  ["on-accent", "accent"], ["on-danger", "danger"],
];
const ratio = ([ink, ground]) => {
  const [low, high] = [light(color(ink)), light(color(ground))].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const weak = pairs.filter((pair) => ratio(pair) < 4.5);
probe.remove();
return weak.map((pair) => `${pair}: ${ratio(pair).toFixed(2)}`);
"""


def test_the_size_of_captions_is_remembered(site: Site, browser: Browser) -> None:
    browser.open(site.url)
    before = browser.script("return getComputedStyle(document.querySelector('.nothing')).fontSize")
    assert before
    browser.press("+", "+")
    size = browser.script("return document.documentElement.dataset.captionSize")
    browser.open(f"{site.url}record")
    assert browser.script("return document.documentElement.dataset.captionSize") == size
    browser.press("-", "-")
    assert int(browser.script("return localStorage['caption-size']")) == int(size) - 2


def test_large_type_leaves_nearly_nothing_but_captions(site: Site, browser: Browser) -> None:
    settled(browser, site.url)
    browser.press("l")
    assert browser.shown(".site") is None
    assert browser.shown("#keep") is None
    pane = browser.find(".captions").rect
    assert pane["height"] >= 0.95 * browser.script("return innerHeight")
    browser.press("l")
    assert browser.shown(".site") is not None
    browser.press("l", ESCAPE)
    assert browser.shown(".site") is not None


def test_captions_are_read_out_when_finished_and_not_before(site: Site, browser: Browser) -> None:
    for page in ("", "record"):
        browser.open(site.url + page)
        log = browser.find(".log")
        assert log.get_attribute("role") == "log"
        assert log.get_attribute("aria-live") == "polite"
        assert browser.find(".partial").get_attribute("aria-live") == "off"
        assert browser.all(".log .partial") == []


def test_text_is_never_markup(site: Site, browser: Browser) -> None:
    browser.open(f"{site.url}record")
    shown = browser.script(
        OF_OUR_OWN
        + """
        const view = await captionsOfOurOwn();
        const text = "<img src=x onerror=alert(1)> & <b>bold</b>";
        const words = [{ word: text, start_s: 0, end_s: 1, confidence: 0.1 }];
        view.take({ type: "final", text, words, start_s: 0 });
        view.take({ type: "notice", level: "warning", text });
        view.take({ type: "partial", stable: text, tail: text });
        return [...document.querySelectorAll(".captions :is(.doubtful, .notice, .settled)")]
            .map((e) => e.firstChild.nodeValue);
        """
    )
    assert shown == ["<img src=x onerror=alert(1)> & <b>bold</b>"] * 3
    assert browser.complaints() == []


def test_old_captions_leave_the_page(site: Site, browser: Browser) -> None:
    browser.open(f"{site.url}record")
    found = browser.script(
        OF_OUR_OWN
        + """
        const view = await captionsOfOurOwn();
        for (let n = 0; n < 700; n++) {
          view.take({ type: "final", text: `caption ${n}`, start_s: n });
        }
        await new Promise(requestAnimationFrame);
        const times = [...document.querySelectorAll(".log > *")].map((e) => e.dataset.text);
        const { scrollHeight, scrollTop, clientHeight } = document.querySelector(".pane");
        const left = scrollHeight - scrollTop - clientHeight;
        return [times.length, times.at(0), times.at(-1), left < 2];
        """
    )
    assert found == [500, "caption 200", "caption 699", True]


def test_a_reader_who_scrolled_up_is_left_there(site: Site, browser: Browser) -> None:
    browser.open(f"{site.url}record")
    browser.script(
        OF_OUR_OWN
        + """
        window.view = await captionsOfOurOwn();
        for (let n = 0; n < 100; n++) {
          view.take({ type: "final", text: `caption ${n}`, start_s: n });
        }
        await new Promise(requestAnimationFrame);
        const pane = document.querySelector(".pane");
        const scrolled = new Promise((done) => pane.addEventListener("scroll", done));
        pane.scrollTop = 100;
        await scrolled;
        view.take({ type: "final", text: "meanwhile", start_s: 99 });
        """
    )
    browser.wait(lambda: browser.shown(".newest"))
    browser.script('view.take({ type: "final", text: "one more", start_s: 100 });')
    assert browser.script('return document.querySelector(".pane").scrollTop') == 100
    browser.click(".newest")
    browser.wait(lambda: browser.shown(".newest") is None)
    assert browser.script('return document.querySelector(".pane").scrollTop') > 1000


def test_without_scripts_a_sentence_says_so(site: Site, browser: Browser) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(site.url)
        assert "need JavaScript" in browser.text("noscript")
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_times_are_written_as_people_do(site: Site, browser: Browser) -> None:
    browser.open(f"{site.url}library")
    found = browser.script(
        """
        const { formatTime } = await import("/static/api.js");
        return [0, 59.9, 61, 3600, 36061.5, -1, NaN].map(formatTime);
        """
    )
    assert found == ["0:00", "0:59", "1:01", "1:00:00", "10:01:01", "0:00", "0:00"]


def test_waits_between_tries_grow_to_ten_seconds(site: Site, browser: Browser) -> None:
    browser.open(f"{site.url}library")
    waits = browser.script(
        """
        const { waitFor } = await import("/static/reconnecting.js");
        return Array.from({ length: 12 }, (_, tries) =>
            Array.from({ length: 50 }, () => waitFor(tries)));
        """
    )
    for tries, some in enumerate(waits):
        wanted = min(10, 0.5 * 2**tries)
        assert all(max(0.5, 0.75 * wanted) - 1e-9 <= wait <= 10 for wait in some)
    assert max(waits[0]) < 0.7 < 7 < min(waits[-1])
    assert len(set(waits[2])) > 10


def test_the_word_of_a_moment_is_found_as_by_looking_at_all(site: Site, browser: Browser) -> None:
    browser.open(f"{site.url}library")
    wrong = browser.script(
        """
        const { lastBefore } = await import("/static/player.js");
        const wrong = [];
        for (let size = 0; size < 20; size++) {
          const start = (_, n) => ({ start_s: n * 0.5 + (n % 3) * 0.1 });
          const words = Array.from({ length: size }, start);
          for (let at = -0.3; at < size; at += 0.05) {
            const plain = words.filter(({ start_s }) => start_s <= at).length - 1;
            if (lastBefore(words, at) !== plain) wrong.push([size, at]);
          }
        }
        return wrong;
        """
    )
    assert wrong == []
