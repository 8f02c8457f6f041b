"""The page of `cpvae explore` in Chromium: each action by mouse and by keyboard, light and dark, wide and narrow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cpvae.errors import FitWarning
from cpvae.estimators.zoo import CPVAE, load
from cpvae.explore.opened import open_answers
from cpvae.explore.page import document
from test_explore import EVIL, SMALL, rows_with_markup, run_in

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("bokeh", reason="bokeh is not installed: pip install 'cpvae[explore]'")
pytestmark = pytest.mark.filterwarnings("default")

READY = "document.documentElement.dataset.ready === 'yes'"
PLACES = """() => {
  const plot = Bokeh.documents[0].get_model_by_name("map");
  const points = Bokeh.documents[0].get_model_by_name("points");
  const { x_scale, y_scale } = Bokeh.index.find_one(plot).frame;
  const box = document.getElementById("map").getBoundingClientRect();
  return [...points.get("x")].map((x, i) => [box.x + x_scale.compute(x), box.y + y_scale.compute(points.get("y")[i])]);
}"""
PALE = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => numbers(colour).slice(0, 3)
    .map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return (numbers(colour)[3] ?? 1) > 0 ? colour : behind(element.parentElement);
  };
  const words = [...document.querySelectorAll("body *")].filter((one) =>
    one.checkVisibility() && !one.disabled && !["SCRIPT", "OPTION"].includes(one.tagName)
    && [...one.childNodes].some((part) => part.nodeType === 3 && part.data.trim()));
  return words.filter((one) => {
    const [low, high] = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05) < 4.5;
  }).map((one) => one.outerHTML.slice(0, 80));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium: the one at the path in CPVAE_CHROMIUM, that of the machine, or that of Playwright."""
    sync_api.expect.set_options(timeout=20_000)  # other work may be done beside the tests
    path = os.environ.get("CPVAE_CHROMIUM") or shutil.which("chromium")
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path)
        except sync_api.Error as error:
            pytest.skip(f"no Chromium: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_in(tmp_path_factory.mktemp("explore"), rows_with_markup())


@contextmanager
def served(run: Path) -> Iterator[str]:
    """Give the address at which `cpvae explore` serves a run."""
    words = [sys.executable, "-m", "cpvae", "explore", str(run), "--no-browser"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            yield next(line.split()[1] for line in server.stdout if line.startswith("open http"))
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def places(run: Path) -> Iterator[dict[str, str]]:
    """Addresses of the page, of a server and of a file."""
    file = run.parent / "page.html"
    file.write_text(document(open_answers(run), live=False), "utf-8")
    with served(run) as address:
        yield {"server": address, "file": file.as_uri()}


@contextmanager
def opened(browser: Any, address: str, scheme: str, width: int) -> Iterator[Any]:
    """Open the page; when all is done, it said no error, is not too wide, and ran no markup of the user."""
    page = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=scheme)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(20_000)
    page.goto(address)
    page.wait_for_function(READY)
    yield page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(PALE) == []
    assert not page.evaluate("document.querySelectorAll('main b, main i, img[onerror]').length")
    assert page.title() != "run"
    assert errors == []
    page.close()


class Mouse:
    """Does what a page offers with the mouse."""

    def __init__(self, page: Any):
        self.page = page

    def press(self, what: str) -> None:
        self.page.click(what)

    def write(self, where: str, text: str) -> None:
        self.page.fill(where, text)

    def pick(self, where: str, value: str) -> None:
        self.page.select_option(where, value)

    def rows(self) -> int:
        """Click a row, then draw around some; give their number."""
        self.page.locator("#map").scroll_into_view_if_needed()
        places = np.array(self.page.evaluate(PLACES))
        self.page.mouse.click(*places[7])
        sync_api.expect(self.page.locator("#rows-words")).to_contain_text("row 7 ")
        sync_api.expect(self.page.locator("#near .row")).to_have_count(8)
        low, high = np.quantile(places, 0.2, 0), np.quantile(places, 0.8, 0)
        corners = [low, (high[0], low[1]), high, (low[0], high[1]), low]
        self.page.mouse.move(*low)
        self.page.mouse.down()
        for corner in corners:
            self.page.mouse.move(*corner, steps=3)
        self.page.mouse.up()
        return int(((places > low) & (places < high)).all(1).sum())


class Keyboard(Mouse):
    """Does the same with keys alone."""

    def reach(self, where: str) -> None:
        place = self.page.locator(where).first
        for _ in range(200):
            if place.evaluate("one => one === document.activeElement"):
                assert place.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"  # the focus is seen
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{where} cannot be reached")

    def press(self, what: str) -> None:
        self.reach(what)
        self.page.keyboard.press("Enter")

    def write(self, where: str, text: str) -> None:
        self.reach(where)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def pick(self, where: str, value: str) -> None:
        self.reach(where)
        self.page.keyboard.press("Home")
        for _ in range(20):
            if self.page.input_value(where) == value:
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"{where} has no {value}")

    def rows(self) -> int:
        self.write("#number", "7")
        self.press("#by-number button")
        sync_api.expect(self.page.locator("#rows-words")).to_contain_text("row 7 ")
        self.press("#near .row")
        sync_api.expect(self.page.locator("#rows-words")).not_to_contain_text("row 7 ")
        sync_api.expect(self.page.locator("#near .row").first).to_be_focused()
        self.write("#number", "3, 10-20,15")
        self.press("#by-number button")
        return 12


@pytest.mark.parametrize(
    ("source", "by", "scheme", "width"),
    [
        ("server", Mouse, "light", 1280),
        ("server", Mouse, "dark", 400),
        ("server", Keyboard, "light", 400),
        ("server", Keyboard, "dark", 1280),
        ("file", Mouse, "light", 400),
        ("file", Mouse, "dark", 1280),
        ("file", Keyboard, "light", 1280),
        ("file", Keyboard, "dark", 400),
    ],
)
def test_each_action_works(browser, places, run, tmp_path, source, by, scheme, width):
    with opened(browser, places[source], scheme, width) as page:
        user = by(page)

        def says(where: str, text: str) -> None:
            sync_api.expect(page.locator(where)).to_contain_text(text)

        def downloaded(button: str) -> pd.DataFrame:
            with page.expect_download() as download:
                user.press(button)
            download.value.save_as(tmp_path / "file.csv")
            return pd.read_csv(tmp_path / "file.csv")

        chosen = user.rows()
        says("#rows-words", f"{chosen} rows; ")
        exported = downloaded("#export")
        assert len(exported) == chosen
        assert EVIL in exported
        user.press("#clear")
        says("#rows-words", "None yet")

        user.pick("#draw-category", "1")
        user.press("#draw button")
        says("#drawn-words", "New rows drawn from")
        sync_api.expect(page.locator("#drawn tbody tr")).to_have_count(8)
        user.pick("#how", "between")
        user.write("#first", "0")
        user.write("#last", "79")
        user.press("#draw button")
        says("#drawn-words", "On the way from the code of row 0 to that of row 79")
        user.pick("#how", "given")
        user.pick("#draw-category", "")
        user.write("#given", "kind=plain")
        user.press("#draw button")
        says("#drawn-words", "New rows that have the given cells.")
        assert set(page.locator("#drawn tbody td:nth-child(3)").all_text_contents()) == {"plain"}

        groups = page.locator("#groups button")
        before = groups.count()
        user.press("#groups button")
        name = f"<i>{scheme} {width}</i>"
        user.write("#name", name)
        user.press("#rename button")
        says("#card-title", name)
        user.press("#card-select")
        says("#rows-words", " rows; ")
        size = int(page.text_content("#rows-words").split()[0])
        first = page.evaluate("Bokeh.documents[0].get_model_by_name('points').selected.indices.slice(0, 3).join(',')")
        user.write("#number", first)
        user.press("#by-number button")
        says("#rows-words", "3 rows; ")
        user.press("#split-off")
        says("#status", "3 rows are now Category 3")
        sync_api.expect(groups).to_have_count(before + 1)
        user.pick("#other", str(page.locator("#other option").first.get_attribute("value")))
        user.press("#merge button")
        says("#status", "Merged; Undo takes it back.")
        sync_api.expect(groups).to_have_count(before)
        for _ in range(2):
            user.press("#undo")
        says("#card-title", f"{name}: {size} rows")
        if source == "server":
            user.press("#split")
            says("#status", "the smaller half is Category 3")
            user.press("#save")
            says("#status", "explored.csv")
            saved = pd.read_csv(run / "explored.csv")
            assert set(load(run).names_.values()) <= set(saved["label"]) | {name}
        else:
            assert page.locator("#split").is_hidden()
            saved = downloaded("#save")
        assert len(saved) == 80
        assert name in set(saved["label"])
        page.select_option("#colour", label="Column kind")
        says("#scale", "<img")


@pytest.mark.parametrize(
    ("card", "drawn_by"), [("ANGLE (SwiftShader driver)", "canvas"), ("llvmpipe", "canvas"), ("Iris", "webgl")]
)
def test_a_map_is_drawn_by_webgl_only_with_a_graphics_card(browser, places, card, drawn_by):
    page = browser.new_page()
    page.add_init_script(  # 0x9246 asks for the name of the card
        "const own = WebGLRenderingContext.prototype.getParameter;"
        "WebGLRenderingContext.prototype.getParameter = function (what) {"
        f" return what === 0x9246 ? '{card}' : own.call(this, what); }};"
    )
    page.goto(places["file"])
    page.wait_for_function(READY)
    assert page.evaluate("Bokeh.documents[0].get_model_by_name('map').output_backend") == drawn_by
    page.close()


def test_halves_of_a_picture_are_completed(browser, tmp_path):
    X = np.random.RandomState(0).rand(24, 1, 6, 4).astype(np.float32)
    np.save(tmp_path / "pictures.npy", X)
    about = {"source": str(tmp_path / "pictures.npy"), "found_at": str(tmp_path / "pictures.npy"), "split": "all"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        CPVAE(2, kind="images", **SMALL).fit(X, out=tmp_path / "run", about=about)
    with served(tmp_path / "run") as address, opened(browser, address, "dark", 400) as page:
        page.select_option("#how", "part")
        page.select_option("#part", "left")
        page.fill("#part-row", "3")
        page.click("#draw button")
        sync_api.expect(page.locator("#drawn img")).to_have_count(8)
        sync_api.expect(page.locator("#drawn-words")).to_have_text("The model completes a half of row 3, eight times.")
