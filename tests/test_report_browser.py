"""The report in a real browser, headless: what a person does with it, and what must follow."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_pages import families

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.report import report

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="chromium or chromedriver is not installed")

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update
--disable-sync --disable-dev-shm-usage --mute-audio --hide-scrollbars""".split()
WIDE, NARROW = (1400, 900), (390, 844)
EVIL = "</script><img src=x onerror='window.hurt=1'><svg onload='window.hurt=1'>\u2028"


class Reader:
    """A person with a browser: opens reports, clicks, types, and looks at what is shown."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, size=WIDE, *, dark=False):
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
        self.driver.get(path.as_uri())
        self.until("return document.documentElement.dataset.ready === 'true' && Boolean(window.lineageReport)")
        return self

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def until(self, code, *arguments, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.js(code, *arguments):
                return value
            time.sleep(0.03)
        raise AssertionError(f"in vain waited for {code} {arguments}")

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector):
        self.find(selector).click()

    def keys(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def click_at(self, canvas, x, y):
        """Click a place of a canvas, in pixels from its upper left corner."""
        node = self.find(canvas)
        size = node.size
        ActionChains(self.driver).move_to_element_with_offset(node, x - size["width"] / 2, y - size["height"] / 2).click().perform()

    def state(self, name):
        return self.js("return lineageReport.state[arguments[0]]", name)

    def give(self, selector, value, event):
        code = (
            "const [where, value, event] = arguments, n = document.querySelector(where); n.value = value; n.dispatchEvent(new Event(event))"
        )
        self.js(code, selector, value, event)

    def set_range(self, selector, value):
        self.give(selector, value, "input")

    def choose(self, selector, value):
        self.give(selector, value, "change")

    def drawn(self):
        """Wait until all that was asked for is drawn."""
        self.driver.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")

    def picture(self, canvas):
        """A number that stands for the pixels of a canvas."""
        self.drawn()
        return hash(self.js("return document.querySelector(arguments[0]).toDataURL()", canvas))

    def text(self, selector):
        return self.find(selector).text

    def complaints(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = Options()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = CHROMIUM
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Reports of a film of families, and of points in space."""
    place = tmp_path_factory.mktemp("pages")
    forest, image, labels = families()
    signs = pd.DataFrame({"kind": ["jump", EVIL, "jump"], "frame": [3, 8, 9], "row": [12, 40, 60], "score": [3.0, 2, 1], "message": EVIL})
    report(forest, image, labels, place / "film.html", checks=signs, title=EVIL, record={"settings": {EVIL: EVIL, "gap": 0.5}})
    cells = forest.detections
    deep = np.column_stack([np.arange(len(cells)) % 7 * 10.0, cells.position])
    points = Detections(cells.frame, deep, np.zeros(len(cells), int), {EVIL: cells.columns["name"], "name": cells.columns["name"]})
    report(replace(forest, detections=points), path=place / "points.html", checks=signs[:0])
    stack = np.stack([image, image], axis=1)
    space = replace(cells, position=np.column_stack([np.zeros(len(cells)), cells.position]), scale=(1, 1, 1))
    report(replace(forest, detections=space), stack, np.stack([labels, labels], axis=1), place / "stack.html", checks=signs[:0])
    report(Forest(Detections([], np.zeros((0, 2)), [], n_frames=3), []), path=place / "empty.html")
    return place


@pytest.fixture
def reader(driver):
    reader = Reader(driver)
    yield reader
    assert reader.complaints() == []


@pytest.fixture
def film(reader, pages):
    return reader.open(pages / "film.html")


FOREST, _, _ = families()
DIVISIONS = len(FOREST.divisions)


def row_at(frame, rank=0):
    """The row of some cell of a frame."""
    return int(np.flatnonzero(FOREST.detections.frame == frame)[rank])


def test_the_columns_are_read_as_they_were_written(film):
    """Python packed, the browser unpacked: every number is there."""
    for name, wanted in (("frame", FOREST.detections.frame), ("parent", FOREST.parent), ("generation", FOREST.generation)):
        assert film.js(f"return Array.from(lineageReport.model.{name})") == wanted.tolist()
    assert film.js("return Array.from(lineageReport.model.track)") == (FOREST.tracklet_id - 1).tolist()
    np.testing.assert_allclose(film.js("return Array.from(lineageReport.model.x)"), FOREST.detections.position[:, 1], rtol=1e-6)
    assert film.js("const m = lineageReport.model; return m.divisions.map((k) => m.tracks.last[k])") == FOREST.divisions.tolist()


def test_slider_keys_and_play_move_the_frames(film):
    seen = [film.picture("#image")]
    film.set_range("#frame", 5)
    assert film.state("frame") == 5 and film.text("#frame-value").startswith("5 / 17")
    film.until("return lineageReport.pictures.get(5, 0)")
    seen.append(film.picture("#image"))
    film.find("#stage").send_keys(Keys.ARROW_RIGHT)
    assert film.state("frame") == 6
    film.keys(Keys.END)
    assert film.state("frame") == 17
    film.until("return lineageReport.pictures.get(17, 0)")
    seen.append(film.picture("#image"))
    film.keys(Keys.HOME)
    assert film.state("frame") == 0 and film.js("return document.getElementById('frame').value") == "0"
    assert len(set(seen)) == 3
    film.keys(Keys.SPACE)
    assert film.state("playing")
    film.until("return lineageReport.state.frame >= 3")
    film.click("#play")
    assert not film.state("playing")


def test_a_click_on_a_cell_lights_its_branch_up(film):
    row = row_at(8, 3)
    film.set_range("#frame", 8)
    film.drawn()
    before = film.picture("#forest")
    film.click_at("#stage", *film.js("return lineageReport.film.screen(arguments[0])", row))
    assert film.state("row") == row
    assert film.picture("#forest") != before
    said = film.text("#panel-cell")
    assert f"Tracklet {FOREST.tracklet_id[row]}" in said or "cell 0" in said
    for part in ("Frame\n8", "Generation\n1", "Link cost", f"area\n{FOREST.detections.columns['area'][row]:.2f}"[:9], "touched"):
        assert part in said, part
    assert film.find("#panel-cell").is_displayed()


def test_a_click_on_a_branch_takes_the_film_there(film):
    row = row_at(14, 9)
    track = int(FOREST.tracklet_id[row]) - 1
    film.drawn()
    before = film.picture("#stage")
    film.click_at("#forest", *film.js("return lineageReport.tree.at(arguments[0], 14)", track))
    assert film.state("row") == row and film.state("frame") == 14
    assert film.picture("#stage") != before
    film.keys(Keys.ESCAPE)
    assert film.state("row") == -1 and "Click a cell" in film.text("#panel-cell")


def test_a_click_beside_the_branches_goes_to_that_frame(film):
    x, _ = film.js("return lineageReport.tree.at(0, 11)")
    film.click_at("#forest", x, 8)
    assert film.state("frame") == 11 and film.state("row") == -1


def test_parent_and_daughters_are_one_click_away(film):
    mother = int(FOREST.divisions[0])
    film.js("lineageReport.select(arguments[0], {jump: true})", mother)
    film.drawn()
    daughters = film.driver.find_elements(By.CSS_SELECTOR, "#panel-cell dd .chip")
    assert len(daughters) == 3  # the mother's own parent, two daughters
    daughters[1].click()
    film.drawn()
    assert FOREST.parent[film.state("row")] == mother


def test_the_stepper_walks_all_divisions(film):
    film.click("#tab-divisions")
    film.until("return document.querySelector('#division-next')")
    seen, frames = [], []
    for _ in range(DIVISIONS):
        film.click("#division-next")
        film.drawn()
        seen.append(film.state("row"))
        frames.append(film.state("frame"))
    assert sorted(seen) == FOREST.divisions.tolist()
    assert frames == FOREST.detections.frame[seen].tolist()
    film.keys("]")
    assert film.state("row") == seen[0]
    film.keys("[")
    assert film.state("row") == seen[-1]
    film.until("return [...document.querySelectorAll('.quad canvas')].every((c) => c.width > 20)")
    film.until("return document.querySelectorAll('.division canvas')[0].width > 20")
    for canvas in film.driver.find_elements(By.CSS_SELECTOR, ".quad canvas"):  # something is drawn: an empty canvas compresses to nothing
        assert film.until("return arguments[0].toDataURL().length > 2000", canvas)
    film.driver.find_elements(By.CSS_SELECTOR, ".division")[2].click()
    assert film.state("row") == int(FOREST.divisions[2])


def test_cells_are_found_by_number_and_by_name(film):
    cases = {"T7": ("Tracklet 7", lambda row: FOREST.tracklet_id[row] == 7), "l3": ("Lineage 3", lambda row: FOREST.lineage_id[row] == 3)}
    cases["cell 017"] = ("cell 017", lambda row: row == 17)
    cases["#25"] = ("Detection 25", lambda row: row == 25)
    for query, (text, right) in cases.items():
        film.keys("/")
        assert film.js("return document.activeElement.id") == "search"
        film.find("#search").clear()
        film.find("#search").send_keys(query)
        assert film.text("#found li").startswith(text)
        film.find("#search").send_keys(Keys.ENTER)
        assert right(film.state("row")), query
        assert not film.find("#found").is_displayed()
    film.find("#search").clear()
    film.find("#search").send_keys("nobody")
    assert "Nothing is called that" in film.text("#found")
    film.find("#search").clear()
    film.find("#search").send_keys("1")
    assert len(film.driver.find_elements(By.CSS_SELECTOR, "#found li")) >= 4
    film.find("#search").send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    assert FOREST.lineage_id[film.state("row")] == 1


def test_filters_hide_lineages_and_say_so(film):
    whole = film.picture("#forest")
    film.click("#filter-name")
    film.click("#suspected")
    suspects = {int(FOREST.lineage_id[row]) for row in (12, 40, 60)}
    assert film.js("return lineageReport.tree.shownCount()") == len(suspects)
    assert film.text("#filter-count") == f"{len(suspects)} of 4 lineages shown"
    assert film.picture("#forest") != whole
    film.click("#suspected")
    film.set_range("#shortest", 18)
    assert film.js("return lineageReport.tree.shownCount()") == 4
    film.click("#dividing")
    assert film.js("return lineageReport.tree.shownCount()") == 4
    hidden = next(k for k in range(1, 5) if k not in suspects) if len(suspects) < 4 else None
    if hidden is not None:  # what is searched for is shown all the same
        film.click("#suspected")
        film.js("lineageReport.select(arguments[0])", int(np.flatnonzero(FOREST.lineage_id == hidden)[0]))
        assert film.js("return lineageReport.tree.shownCount()") == 4


def test_colours_follow_the_choice(film):
    film.set_range("#frame", 9)
    pictures = {}
    options = film.js("return [...document.getElementById('colour').options].map((o) => o.value)")
    assert options[:5] == ["lineage", "generation", "tracklet", "confidence", "link_cost"]
    assert {"measured:area", "measured:name", "measured:touched"} <= set(options)
    for name in options:
        film.choose("#colour", name)
        pictures[name] = (film.picture("#stage"), film.picture("#forest"))
    assert len({stage for stage, _ in pictures.values()}) >= len(options) - 1
    assert len({forest for _, forest in pictures.values()}) >= len(options) - 1
    film.choose("#colour", "measured:area")
    film.drawn()
    assert film.text("#legend").startswith("area")


def test_branches_fold_and_unfold(film):
    rows = film.js("return lineageReport.tree.rowCount()")
    film.js("lineageReport.select(arguments[0])", row_at(0))
    film.keys("c")
    assert film.js("return lineageReport.tree.isFolded(0)") is True
    assert film.js("return lineageReport.tree.rowCount()") == pytest.approx(rows - 3)
    film.keys("c")
    assert film.js("return lineageReport.tree.rowCount()") == rows
    film.click("#filter-name")
    film.click("#fold")
    assert film.js("return Math.round(lineageReport.tree.rowCount())") == pytest.approx(5, abs=1)
    film.js("lineageReport.select(arguments[0])", row_at(17))  # a hidden branch shows itself
    assert film.js("return lineageReport.tree.isFolded(lineageReport.model.track[0])") is False
    film.click("#unfold")
    assert film.js("return lineageReport.tree.rowCount()") == rows


def test_film_and_tree_zoom_and_move(film):
    scale = film.js("return lineageReport.film.view.k")
    film.find("#stage").send_keys("+")
    assert film.js("return lineageReport.film.view.k") > scale
    node = film.find("#stage")
    before = film.js("return lineageReport.film.view.cx")
    ActionChains(film.driver).drag_and_drop_by_offset(node, 60, 0).perform()
    assert film.js("return lineageReport.film.view.cx") < before and film.state("row") == -1
    film.find("#stage").send_keys("0")
    assert film.js("return lineageReport.film.view.k") == pytest.approx(scale)
    wide = film.js("return lineageReport.tree.view.frameWide")
    film.find("#forest").send_keys("+")
    assert film.js("return lineageReport.tree.view.frameWide") > wide
    high = film.js("return lineageReport.tree.view.rowHigh")
    film.js("document.getElementById('forest').dispatchEvent(new WheelEvent('wheel', {deltaY: -200, altKey: true, cancelable: true}))")
    assert film.js("return lineageReport.tree.view.rowHigh") > high


def test_everything_can_be_done_with_keys(film):
    film.find("#forest").send_keys(Keys.ARROW_DOWN)
    first = film.state("row")
    assert first >= 0
    film.keys(Keys.ARROW_DOWN)
    assert film.state("row") not in (-1, first)
    film.keys(Keys.ARROW_UP)
    assert film.state("row") == first
    film.keys(".")
    assert film.state("row") == 12 and film.find("#panel-signs").is_displayed()
    film.keys(".")
    assert film.state("row") == 40
    film.keys(",")
    assert film.state("row") == 12
    assert film.find("#outlines").get_attribute("id") and film.state("outlines")
    film.keys("o")
    assert not film.state("outlines")
    film.keys("f")
    assert film.state("follow") and film.find("#follow").get_attribute("aria-pressed") == "true"
    film.keys("t")
    assert film.js("return document.documentElement.dataset.theme") == "dark"
    film.keys("?")
    assert film.find("#keys").is_displayed()
    film.keys(Keys.ESCAPE)
    assert not film.find("#keys").is_displayed()
    film.find("#tab-signs").send_keys(Keys.ARROW_RIGHT)
    assert film.find("#panel-summary").is_displayed() and film.js("return document.activeElement.id") == "tab-summary"


def test_what_has_the_focus_is_seen_and_named(film):
    """Every stop of the tab key has a name for a screen reader and a ring for the eye."""
    film.js("document.activeElement.blur()")
    seen = []
    for _ in range(40):
        film.keys(Keys.TAB)
        found = film.js(
            "const n = document.activeElement; if (n === document.body) return null; const s = getComputedStyle(n);"
            "const given = n.getAttribute('aria-label') || n.getAttribute('aria-labelledby');"
            "const name = given || n.textContent.trim() || n.labels?.[0]?.textContent.trim() || n.title;"
            "return [n.id || n.className, name, s.outlineStyle, parseFloat(s.outlineWidth)]"
        )
        if found is None:
            break
        seen.append(found[0])
        assert found[1], f"{found[0]} has no name"
        assert found[2] == "solid" and found[3] >= 2, f"{found[0]} shows no focus"
    assert {"search", "stage", "forest", "frame", "play", "tab-cell", "panel-cell"} <= set(seen)


def test_signs_are_listed_and_lead_there(film):
    film.click("#tab-signs")
    film.until("return document.querySelectorAll('#signs .sign').length === 3")
    film.driver.find_elements(By.CSS_SELECTOR, "#signs .sign")[1].click()
    assert film.state("row") == 40 and film.state("frame") == int(FOREST.detections.frame[40])
    film.click('[data-kind="jump"]')
    assert len(film.driver.find_elements(By.CSS_SELECTOR, "#signs .sign")) == 2


def test_the_summary_counts_what_is_there(film):
    film.click("#tab-summary")
    film.until("return document.querySelectorAll('#panel-summary .uplot canvas').length >= 5")
    said = film.text("#panel-summary")
    for count, word in ((len(FOREST), "detections"), (4, "lineages"), (DIVISIONS, "divisions")):
        assert f"{count}\n{word}" in said
    assert "Time from division to division\nmedian 6 frames" in said
    film.click("#tab-run")
    assert "gap\n0.5" in film.text("#panel-run")


def test_nothing_hostile_runs(film):
    for tab in ("cell", "divisions", "signs", "summary", "run"):
        film.click(f"#tab-{tab}")
        film.drawn()
    assert film.js("return window.hurt") is None
    assert film.js("return document.querySelectorAll('img, iframe, object, svg[onload]').length") == 0
    assert film.text("#title") == EVIL.rstrip("\u2028") and EVIL[:20] in film.text("#panel-run")


def test_even_what_got_in_could_not_run_or_fetch(film):
    """The policy of the page holds: an injected script, handler or picture from elsewhere does nothing."""
    film.js("const s = document.createElement('script'); s.textContent = 'window.hurt = 2'; document.body.append(s)")
    film.js("const d = document.createElement('div'); d.innerHTML = '<img src=x onerror=\"window.hurt = 3\">'; document.body.append(d)")
    film.drawn()
    assert film.js("return window.hurt") is None
    complaints = film.complaints()
    assert len(complaints) >= 2 and all("Content Security Policy" in complaint for complaint in complaints)


def test_nothing_is_fetched(film):
    assert film.js("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []


@pytest.mark.parametrize("size", [WIDE, (1000, 800), NARROW], ids=["wide", "middle", "narrow"])
@pytest.mark.parametrize("name", ["film", "points", "stack", "empty"])
def test_every_report_fits_every_screen(reader, pages, name, size):
    page = reader.open(pages / f"{name}.html", size, dark=name == "points")
    assert page.js("return document.documentElement.scrollWidth") <= size[0]
    for canvas in ("#stage", "#forest", "#strip"):
        box = page.find(canvas).size
        assert box["width"] > 100 and box["height"] > 20
    for tab in ("cell", "divisions", "signs", "summary", "run"):
        page.js("document.getElementById(arguments[0]).click()", f"tab-{tab}")
        page.drawn()
        wide = page.js("const n = document.getElementById(arguments[0]); return [n.scrollWidth, n.clientWidth]", f"panel-{tab}")
        assert wide[0] <= wide[1] + 1, tab


def test_points_in_space_turn_and_have_depth(reader, pages):
    page = reader.open(pages / "points.html")
    before = page.picture("#stage")
    page.click("[data-turn=xz]")
    turned = page.picture("#stage")
    assert turned != before
    page.set_range("#layer", 2)
    assert page.picture("#stage") != turned
    shown = page.js("return lineageReport.film.shown().length")
    assert 0 < shown < int(np.sum(FOREST.detections.frame == 0)) + 1
    page.set_range("#layer", 0)
    page.drawn()
    row = page.js("return lineageReport.film.shown()[2]")
    page.click_at("#stage", *page.js("return lineageReport.film.screen(arguments[0])", row))
    assert page.state("row") == row


def test_layers_of_a_stack_are_shown(reader, pages):
    page = reader.open(pages / "stack.html")
    assert page.js("return lineageReport.pictures.layers") == 2
    page.set_range("#layer", 1)
    page.until("return lineageReport.pictures.get(0, 1)")
    assert page.state("layer") == 1


SUMMARY = "return [...document.querySelectorAll('#panel-summary .tile, #panel-summary figcaption')].map((node) => node.textContent)"


def test_a_crowded_film_is_shown_in_part_and_counted_as_a_whole(reader, tmp_path, monkeypatch):
    """What Python counts for a page with some lineages is what the page counts that has them all; numbers are those of the files."""
    forest, _, _ = families()
    cells = replace(forest.detections, n_frames=20)  # so that the last cells vanish
    crowd = Forest(cells, np.where(np.arange(len(forest)) == 60, -1, forest.parent), link_cost=forest.link_cost)
    checks = pd.DataFrame({"kind": ["odd"], "frame": [2], "row": [int(np.flatnonzero(crowd.lineage_id == 3)[4])], "message": ["Odd."]})
    report(crowd, path=tmp_path / "all.html", checks=checks)
    monkeypatch.setattr("lineage.report.data.MOST_CELLS", len(crowd) // 3)
    report(crowd, path=tmp_path / "some.html", checks=checks)
    page = reader.open(tmp_path / "all.html")
    page.click("#tab-summary")
    page.drawn()
    said, header = page.until(SUMMARY), page.text("#counts")
    page = reader.open(tmp_path / "some.html")
    shown = page.js("return lineageReport.model.lineageId")
    assert 3 in shown and len(shown) < len(crowd.roots)
    page.click("#tab-summary")
    page.drawn()
    assert page.until(SUMMARY) == said
    assert page.text("#counts") == header.replace(f"{len(crowd.roots)} lineages", f"{len(crowd.roots)} lineages ({len(shown)} shown)")
    assert f"show {len(shown)} of its {len(crowd.roots)} lineages" in page.text("#panel-summary .note.whole")
    for query, kind in (("L3", "Lineage 3"), (f"T{crowd.tracklet_id[checks['row'][0]]}", "Tracklet ")):
        page.keys("/")
        page.find("#search").clear()
        page.find("#search").send_keys(query)
        assert page.text("#found li").startswith(kind)
        page.find("#search").send_keys(Keys.ENTER)
        assert crowd.lineage_id[page.js("return lineageReport.model.id[lineageReport.state.row]")] == 3
    page.until("return document.querySelector('#panel-cell h3')?.textContent.includes('lineage 3')")


def test_a_picture_of_another_frame_says_so(reader, tmp_path, monkeypatch):
    forest, image, _ = families()
    monkeypatch.setattr("lineage.report.pictures.MOST", 6)
    report(forest, image, path=tmp_path / "long.html", checks=pd.DataFrame({"kind": [], "frame": [], "row": [], "message": []}))
    page = reader.open(tmp_path / "long.html")
    for frame, said in ((3, ""), (4, "\npicture of frame 3"), (17, "\npicture of frame 15")):
        page.set_range("#frame", frame)
        page.until("return lineageReport.pictures.get(arguments[0], 0)", frame)
        assert page.text("#frame-value") == f"{frame} / 17{said}"


def test_a_large_embryo_stays_fluid(reader, tmp_path):
    from test_report import embryo

    path = tmp_path / "embryo.html"
    report(embryo(), path=path, checks=pd.DataFrame({"kind": [], "frame": [], "row": [], "message": []}))
    page = reader.open(path)
    rate = page.driver.execute_async_script(
        "const done = arguments[0], r = lineageReport; let n = 0; const begin = performance.now();"
        "const step = (now) => { n++; r.film.pan(3, 1); r.tree.pan(1, 2); if (now - begin < 1500) requestAnimationFrame(step);"
        "else done(1000 * n / (performance.now() - begin)); }; requestAnimationFrame(step)"
    )
    drawing = page.js("const c = lineageReport.counters; return (c.filmTime + c.treeTime) / c.film")
    assert drawing < 33 and rate > (15 if (os.cpu_count() or 1) > 1 else 5)
