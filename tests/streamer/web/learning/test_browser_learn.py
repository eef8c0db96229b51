"""The pages of learning and of test clips as a user sees them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from model.bundle import load_bundle, save_bundle
from streamer.web.learning.job import JobRecord
from streamer.web.learning.registry import LearnedModel
from streamer.web.learning.run_folder import Course
from streamer.web.learning.runner import JobRunner
from tests.streamer.web.browsing import Browser, open_browser
from tests.streamer.web.conftest import ROOT, Site
from tests.streamer.web.learning.test_learning_routes import kept

RATES = {"wer": 0.5, "cer": 0.3, "low": 0.4, "high": 0.6}
GROUP = {
    "clips": 2,
    "words": 700,
    "readings": [
        {
            "decoder": "language_model",
            "before": RATES,
            "after": {**RATES, "wer": 0.25},
            "change": {"wer": -0.25, "low": -0.4, "high": -0.1},
        }
    ],
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def learned(site: Site, name: str) -> None:
    """Put a model among the learned ones: the shipped one by another name."""
    registry = site.services.learning.registry
    bundle = load_bundle(ROOT / "models/default")
    save_bundle(replace(bundle, name=name), registry.path(name))
    registry.add(
        LearnedModel(
            name,
            "2026-01-02T03:04:05+00:00",
            site.services.models.name,
            2.5,
            40,
            ("a", "b"),
            1,
            {"held_out": GROUP, "base": GROUP},
            0.5,
        )
    )


def test_what_is_learned_from_is_shown_and_a_training_offered(site: Site, browser: Browser) -> None:
    browser.open(site.url + "learn")
    browser.wait_text("#lacking", "Correct or confirm two recordings")
    assert browser.shown("#train") is None
    for number in range(3):
        kept(site, "ab cab", "a" * number)
    browser.open(site.url + "learn")
    browser.wait(lambda: browser.shown("#train"))
    rows = [row.text.split()[-4:] for row in browser.all("#amounts tbody tr")]
    assert [rows[0][0], rows[1][0], rows[2][0]] == ["2", "1", "3"]
    assert rows[2][3] == "8"
    assert "1 nothing was said" in browser.text("#left-out")
    assert browser.find("#export").get_attribute("href").endswith("/api/learning/export")
    assert browser.complaints() == []


def test_a_model_is_used_rolled_back_and_deleted(site: Site, browser: Browser) -> None:
    shipped = site.services.models.name
    learned(site, "mine-1")
    browser.open(site.url + "learn")
    mine, own = "[data-name='mine-1']", "[data-name='shipped']"
    browser.wait_text(mine, "50.0 %")
    assert "25.0 %" in browser.text(mine) and "better than chance" in browser.text(mine)
    assert "was deleted since" in browser.text(mine)
    assert f"50 % of the trained weights, 50 % of those of {shipped}" in browser.text(mine)
    assert "in use" in browser.text(own)
    browser.click(f"{mine} .primary")
    browser.wait_text(mine, "in use")
    assert site.services.models.name == "mine-1"
    assert not browser.all(f"{mine} .danger")
    browser.wait_text("#rollback", "the program's own model")
    browser.click("#rollback")
    browser.wait_text(own, "in use")
    assert site.services.models.name == shipped
    browser.script("document.getElementById('messages').replaceChildren()")
    browser.click(f"{mine} .danger")
    browser.click("dialog .danger")
    browser.wait(lambda: not browser.all(mine))
    assert site.services.learning.models() == ()
    assert browser.complaints() == []


def test_what_was_corrected_is_downloaded_as_training_data(
    site: Site, browser: Browser, tmp_path: Path
) -> None:
    for text in ("ab cab", "cab ab"):
        kept(site, text)
    browser.open(site.url + "learn")
    archive = browser.download("#export", tmp_path)
    assert archive.name == "corrections.zip"
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        assert {"README.txt", "train.jsonl"} <= set(file.namelist())
    assert browser.complaints() == []


class Pretended:
    """Stands for the runner of a training: what the page is told of it is set by hand."""

    def __init__(self, record: JobRecord) -> None:
        self.record = record
        self.course = Course()

    def stop(self) -> None:
        self.record = replace(self.record, stopping=True)

    def end(self, why: str, patience_s: float) -> None: ...


def test_a_training_is_begun_and_followed_while_it_runs(
    site: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning, asked = site.services.learning, []
    record = JobRecord("mine-5", "2026-01-02T03:04:05+00:00", 2.5, "models/default", "english")
    pretended = Pretended(record)

    def train(minutes: float) -> None:
        asked.append(minutes)
        learning._runner = cast(JobRunner, pretended)

    monkeypatch.setattr(learning, "train", train)
    for number in range(2):
        kept(site, "cab" + "a" * number)
    browser.open(site.url + "learn")
    browser.wait(lambda: browser.shown("#train"))
    browser.find("#minutes").clear()
    browser.find("#minutes").send_keys("2.5")
    browser.click("#train .primary")
    browser.wait_text("#job-state", "running")
    assert asked == [2.5]
    assert browser.shown("#train") is None
    assert "Cutting clips" in browser.text("#doing")
    pretended.record = replace(record, phase="extracting", done=1, total=4)
    browser.wait_text("#doing", "Computing the features")
    assert browser.find("#progress").get_attribute("value") == "1"
    pretended.record = replace(record, phase="training")
    pretended.course = Course(30, 2, 1.25, 0.2, 1.5, 0.6, ((0.5, 2.0), (1.25, 1.5)), ((1.0, 0.6),))
    browser.wait_text("#figures", "30 steps, 2 passes")
    assert "60.0 % of the held-out words wrong" in browser.text("#figures")
    assert browser.text("#phases [aria-current]").endswith("train")
    assert browser.shown("#chart svg")
    pretended.course = replace(pretended.course, step=40, minutes=2.0)
    browser.wait_text("#figures", "40 steps")
    browser.click("#stop")
    browser.wait_text("#job-state", "stopping")
    pretended.record = replace(record, phase="judging", state="finished", model="mine-5")
    browser.wait_text("#job-state", "finished")
    assert browser.shown("#stop") is None
    browser.click("#discard")
    browser.wait(lambda: browser.shown("#train"))
    assert browser.complaints() == []


def test_a_training_that_waits_is_told_with_its_curves_and_thrown_away(
    site: Site, browser: Browser
) -> None:
    losses = tuple((minute / 10, 2.0 - minute / 50) for minute in range(50))
    course = Course(50, 3, 5.0, 0.4, 1.0, 0.5, losses, ((0.0, 0.6), (2.5, 0.45), (5.0, 0.5)))
    began = "2026-01-02T03:04:05+00:00"
    site.services.learning._record = JobRecord(
        "mine-9", began, 10.0, "models/default", "english-4", ("a",), ("b",), state="interrupted",
        phase="training", message="The server ended while this training ran.", course=course,
    )  # fmt: skip
    browser.open(site.url + "learn")
    browser.wait_text("#job-state", "interrupted")
    assert "server ended" in browser.text("#job-message")
    assert "50 steps, 3 passes" in browser.text("#figures")
    chart = browser.find("#chart svg")
    assert "from 2.00 to 1.02" in str(chart.get_attribute("aria-label"))
    assert "45.0 % at best" in str(chart.get_attribute("aria-label"))
    assert len(browser.all("#chart circle")) == 3
    assert browser.shown("#resume") and not browser.shown("#stop") and not browser.shown("#train")
    browser.click("#discard")
    browser.click("dialog .danger")
    browser.wait(lambda: not browser.shown("#job"))
    browser.wait(lambda: browser.shown("#train"))
    assert site.services.learning.job is None
    assert browser.complaints() == []


def test_a_clip_shows_its_errors_word_by_word(site: Site, browser: Browser) -> None:
    browser.open(site.url + "inference#common_voice_en_17362319")
    browser.wait_text("#truth", "a song a girl a maid")
    assert len(browser.wait(lambda: browser.all("#readings section"))) == 2
    browser.wait(lambda: len([p for p in browser.all(".picture") if p.is_displayed()]) == 2)
    assert "CC0" in browser.text("#credit")
    assert len(browser.all("#clip option")) == 12
    for pair in browser.all("#readings .pair:not([data-kind='same'])"):
        assert pair.find_elements("css selector", ".visually-hidden")
        assert pair.get_attribute("title") in ("read as", "left out", "added")
    browser.click("#next")
    browser.wait_text("#truth", "go ahead try me")
    assert browser.script("return location.hash") == "#common_voice_en_17369372"
    browser.click("#audio")
    browser.script(
        "const audio = document.getElementById('audio'); audio.muted = true; await audio.play();"
    )
    browser.wait(
        lambda: browser.script("return document.getElementById('audio').currentTime > 0.3")
    )
    assert browser.complaints() == []


@pytest.mark.parametrize("page", ["learn", "inference"])
def test_pages_fit_a_phone(site: Site, browser: Browser, page: str) -> None:
    browser.resize(360, 740)
    try:
        browser.open(site.url + page)
        browser.wait(
            lambda: browser.shown(".alignment" if page == "inference" else "#models article")
        )
        wide = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert browser.script(wide)
    finally:
        browser.resize(1200, 900)
