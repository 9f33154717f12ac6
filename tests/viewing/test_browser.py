"""The page of a recording in a real browser, where one is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recorded_sessions import session_of, with_frames
from vagus.viewing.page import page_of
from vagus.viewing.session_view import view_of_session

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    file = tmp_path / "session.html"
    file.write_text(page_of(view_of_session(with_frames(session_of()))), encoding="utf-8")
    opened = browser.new_page(viewport={"width": 1300, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("console", lambda message: said.append(message.text))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []


def count(page: Page, selector: str) -> int:
    return page.locator(selector).count()


def box_of_a_joint(page: Page) -> FloatRect:
    box = page.locator(".joint svg").first.bounding_box()
    assert box
    return box


def test_a_command_between_two_gaps_is_a_dot(browser: Browser, tmp_path: Path) -> None:
    session = session_of()
    session.steps.action[:] = np.nan
    session.steps.action[100] = 0.5
    file = tmp_path / "lone.html"
    file.write_text(page_of(view_of_session(session)), encoding="utf-8")
    opened = browser.new_page()
    opened.goto(file.as_uri())
    for path in opened.locator(".joint path.commanded").all():
        assert (path.get_attribute("d") or "").endswith("h0")
        assert path.evaluate("it => getComputedStyle(it).strokeLinecap") == "round"
    opened.close()


def test_everything_is_drawn(page: Page) -> None:
    assert page.locator("h1").inner_text() == "arm <3> driven by reach/v1/default"
    assert page.locator(".joint .label b").all_inner_texts() == ["shoulder.pos", "elbow.pos", "gripper.pos"]
    assert page.locator(".joint .label .unit").all_inner_texts() == ["rad", "rad", "0-1"]
    for curve in ("commanded", "measured", "fan", "fan.refused"):
        paths = page.locator(f".joint path.{curve}")
        assert all("L" in (path.get_attribute("d") or "") for path in paths.all()), curve
        assert paths.count() >= 3, curve
    states = [band.get_attribute("data-state") for band in page.locator("rect.band").all()]
    assert set(states) == {"streaming", "reconnecting", "waiting", "playing", "fallback", "velocity"}
    assert count(page, ".joint rect.phase") == 6
    assert count(page, ".arrival") == 18
    assert count(page, ".camera image") >= 10
    assert count(page, ".joint line.episode") == 3
    assert count(page, ".joint line.bound") >= 2


def test_the_pointer_reads_time_step_values_and_the_chunk_behind_them(page: Page) -> None:
    box = box_of_a_joint(page)
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 20)
    told = page.locator("#told").inner_text()
    assert told.startswith("2.52")
    assert "05:06:09.52" in told
    assert "request 7" in told
    assert "commanded 0.98" in page.locator(".joint .now").first.inner_text()
    assert "L" in (page.locator("path.current").first.get_attribute("d") or "")
    assert page.locator(".camera .label img").first.is_visible()


def test_a_stretch_that_is_dragged_over_is_looked_at_and_a_double_click_shows_all(page: Page) -> None:
    box = box_of_a_joint(page)
    before = page.locator(".axis svg text").all_text_contents()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30)
    page.mouse.up()
    labels = [float(text) for text in page.locator(".axis svg text").all_text_contents()]
    assert min(labels) >= 3.3
    assert max(labels) <= 4.3
    page.mouse.dblclick(box["x"] + 100, box["y"] + 30)
    assert page.locator(".axis svg text").all_text_contents() == before


def test_a_key_hides_its_curve_and_shows_it_again(page: Page) -> None:
    key = page.locator("[data-key=merged]")
    for wanted in (0, 3):
        key.click()
        assert count(page, ".joint path.fan:not(.refused)") == wanted
