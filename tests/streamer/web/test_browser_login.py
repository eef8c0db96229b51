"""A server that asks for its token, as other machines see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamer.settings import WebSettings
from tests.streamer.web.browsing import ENTER, Browser, open_browser
from tests.streamer.web.conftest import Site, running_site


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("guarded") / "data"
    with running_site(folder, WebSettings(names=("captions.example",))) as site:
        yield site


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def test_the_token_lets_in_and_nothing_else_does(guarded: Site, browser: Browser) -> None:
    browser.open(f"{guarded.url}library")
    assert browser.driver.current_url.endswith("/login")
    assert browser.all("nav") == []
    browser.press("a guess", ENTER)
    browser.wait_text("#error", "not this server's token")
    browser.press(guarded.token, ENTER)
    browser.wait_text("h1", "Live captions")
    browser.wait_text("#connection", "No microphone")
    browser.open(f"{guarded.url}library")
    browser.wait(lambda: browser.shown("#nothing"))
    assert browser.complaints("401") == []


def test_a_page_whose_cookie_has_gone_asks_for_the_token_again(
    guarded: Site, browser: Browser
) -> None:
    browser.open(f"{guarded.url}library?token={guarded.token}")
    browser.wait(lambda: browser.shown("#nothing"))
    browser.driver.delete_all_cookies()
    browser.find("#query").send_keys("word")
    browser.wait(lambda: browser.driver.current_url.endswith("/login"))


def test_a_live_page_whose_cookie_has_gone_does_not_try_for_ever(
    guarded: Site, browser: Browser
) -> None:
    browser.open(f"{guarded.url}?token={guarded.token}")
    browser.wait_text("#connection", "No microphone")
    browser.driver.delete_all_cookies()
    guarded.services.live.disconnect_all()
    browser.wait(lambda: browser.driver.current_url.endswith("/login"))


def test_who_may_not_record_any_more_is_asked_for_the_token(
    guarded: Site, browser: Browser
) -> None:
    browser.open(f"{guarded.url}record?token={guarded.token}")
    browser.driver.delete_all_cookies()
    browser.click("#start")
    browser.wait(lambda: browser.driver.current_url.endswith("/login"))
