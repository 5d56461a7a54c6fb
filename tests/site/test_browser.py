"""Pages in a real browser: a headless Chromium of the system, driven through playwright.

`make test-site` runs these; where there is no Chromium or no driver they are skipped with the reason. The sites are
that of the committed boards, opened from disk, and that of a board of 1000 rows.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from registry.site.build import build_site
from registry.site.sources import SiteExtras, pictures_in, shipped_advice
from sgbench.leaderboard.api import explain_two
from sgbench.leaderboard.deviation import References, compose_reference
from sgbench.leaderboard.store.tree import RecordTree
from tests.leaderboard.factory import record, write_board_record
from tests.messages import lines_naming
from tests.rooms import ROOT
from tests.site.browsers import OVERFLOW, SCHEMES, WIDTHS, violations

pytestmark = [pytest.mark.site, pytest.mark.filterwarnings("default")]
KINDS = (
    "index.html",
    "boards.html",
    "protocols/digits_v1.html",
    "protocols/mackey_glass_v1.html",  # of losses
    "protocols/randman_rules_v1.html",  # with charts of what was tried
    "surrogates.html",
    "surrogates/atan.html",
    "neurons.html",
    "neurons/leaky.html",
    "across.html",
    "measured.html",
    "measured/regime_map.html",
    "measured/width_and_learning_rate.html",
    "energy.html",
    "reproductions.html",
    "methodology.html",
    "submit.html",
    "retired.html",
    "pending.html",
    "search.html",
)
"""One page of each kind, to which `addresses` adds a method and a comparison."""
ROWS, SHOWN = 1000, 200
GROUPS = ("activity", "energy", "provenance")
"""Columns of a board that are shown on request."""
WIDEST = """Math.max(...Array.from(
  document.querySelectorAll("body, table, pre, svg, img"), each => each.getBoundingClientRect().right))"""
SHIFTS = """() => new Promise(done => {
  let total = 0;
  new PerformanceObserver(list => list.getEntries().forEach(each => { total += each.value; }))
    .observe({type: 'layout-shift', buffered: true});
  const down = () => {
    const before = scrollY;
    scrollBy(0, innerHeight / 2);
    scrollY > before ? setTimeout(down, 50) : setTimeout(() => done(total), 200);
  };
  setTimeout(down, 100);
})"""


KNOWN = """id => new Promise(done => {
  const look = () => (self.methods?.some(each => each.id === id) ? done() : setTimeout(look, 20));
  look();
})"""
"""Waits for what is known of a method; the page's policy forbids the driver's own way to ask again."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the committed boards."""
    into = tmp_path_factory.mktemp("whole") / "site"
    extras = SiteExtras(shipped_advice(), pictures=pictures_in(ROOT / "docs" / "catalogue"))
    build_site(ROOT / "leaderboards", into, references=References(), commit="c" * 40, extras=extras)
    return into


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of one board of 1000 methods with two seeds each, in the order of their widths."""
    root = tmp_path_factory.mktemp("large")
    plain = compose_reference("digits_v1").method
    for number in range(ROWS):
        numbers = plain.parameters["surrogate"] | {"width_fwhm": 0.1 + number / 1000}
        method = plain.model_copy(update={"parameters": plain.parameters | {"surrogate": numbers}})
        for seed in (0, 1):
            accuracy = 0.5 + 0.4 * ((number * 37 + seed * 11) % ROWS) / ROWS
            write_board_record(root / "boards", record(seed=seed, accuracy=accuracy, of=method))
    build_site(root / "boards", root / "site", references=References(), commit="c" * 40)
    return root / "site"


def addresses(site: Path) -> list[str]:
    """A page of each kind, with a method and two that are compared."""
    first, second, *_ = sorted((site / "methods" / "digits_v1").glob("*.html"))
    compared = f"compare.html#board=digits_v1&first={first.stem}&second={second.stem}"
    methods = first.relative_to(site).as_posix()
    return [f"{site.as_uri()}/{name}" for name in (*KINDS, methods, compared)]


def column(page: Any, place: int) -> list[str]:
    """The shown cells of a column of the first table of a page."""
    script = f"""[...document.querySelector('table').tBodies[0].rows].filter(row => !row.hidden)
      .map(row => row.cells[{place}].textContent)"""
    return page.evaluate(script)


def test_every_page_opens_from_disk(site: Path, page: Any) -> None:
    """No message of the console, and nothing asked of a network."""
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.title().endswith("| sgbench")


@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_moves_once_it_is_painted(site: Path, page: Any, width: int) -> None:
    """By the browser's own count of shifts, down the whole page: pictures that are read late have their place."""
    page.set_viewport_size({"width": width, "height": 900})
    for address in addresses(site):
        if "compare.html" not in address:  # which is empty before its script has what it shows
            page.goto(address)
            assert page.evaluate(SHIFTS) < 0.01, address


def test_sorting_by_mouse_and_by_key(site: Path, page: Any) -> None:
    """Expected: the spikes of the board by Python's own sort, and the state said where a reader hears it."""
    page.goto((site / "protocols" / "digits_v1.html").as_uri())
    page.get_by_label("activity").first.check()
    heads = page.locator("thead").first.locator("th")
    place = next(number for number in range(heads.count()) if heads.nth(number).inner_text().startswith("spikes"))
    expected = sorted(column(page, place), key=float)
    heads.nth(place).locator("button").click()
    assert column(page, place) == expected
    assert heads.nth(place).get_attribute("aria-sort") == "ascending"
    heads.nth(place).locator("button").focus()
    page.keyboard.press("Enter")
    assert column(page, place) == expected[::-1]
    assert heads.nth(place).get_attribute("aria-sort") == "descending"
    assert page.locator("th[aria-sort]").count() == 1


def test_filtering_by_key(site: Path, page: Any) -> None:
    """By hand: two of the eight methods of digits_v1 have sigmoid in their name, and none has the last words."""
    page.goto((site / "protocols" / "digits_v1.html").as_uri())
    page.get_by_label("Rows with").first.focus()
    page.keyboard.type("sigmoid")
    assert len(column(page, 0)) == 2
    assert page.locator("output").first.inner_text() == "2 of 8"
    page.keyboard.type(" nothing has this")
    assert column(page, 0) == []
    page.get_by_label("Rows with").first.fill("")
    assert len(column(page, 0)) == 8


def test_columns_on_request_and_a_link_that_keeps_them(site: Path, page: Any) -> None:
    """By hand: rank, letters, method, accuracy, interval and seeds at first; a reload shows what was asked for."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto((site / "protocols" / "digits_v1.html").as_uri())
    heads = page.locator("thead").first.locator("th:visible")
    assert heads.count() == 6
    assert page.evaluate(WIDEST) <= 1440
    page.get_by_label("energy", exact=True).check()
    shown = heads.count()
    assert shown > 6
    page.get_by_label("Rows with").first.fill("sigmoid")
    page.reload()
    assert heads.count() == shown
    assert len(column(page, 0)) == 2
    page.get_by_label("energy", exact=True).uncheck()
    assert heads.count() == 6


def test_two_ticks_lead_to_their_comparison(site: Path, page: Any) -> None:
    """Expected: the difference, its interval and its seeds by `sgbench board explain`; settings as its labels say.

    A third tick takes the place of the first; an address that leads to another folder shows nothing.
    """
    page.goto((site / "protocols" / "digits_v1.html").as_uri())
    boxes = page.locator(".pick")
    boxes.nth(3).check()
    assert page.locator(".picked a").count() == 0
    boxes.nth(0).check()
    boxes.nth(7).check()
    assert not boxes.nth(3).is_checked()
    page.locator(".picked a").click()
    page.wait_for_selector("#compared .answer")
    told = page.locator("#compared").inner_text()
    first, second = (re.search(f"{name}=([0-9a-f]+)", page.url)[1] for name in ("first", "second"))
    expected = explain_two(
        first, second, tree=RecordTree(ROOT / "leaderboards", "leaderboards", References(), only="digits_v1")
    )
    low, high = (f"{100 * end:.2f}" for end in (expected.low, expected.high))
    assert f"{100 * expected.difference:.2f} points" in told
    assert f"(95 % interval {low} to {high}" in told
    for row in expected.table[2:]:
        found = page.locator("#compared tr", has=page.get_by_role("rowheader", name=row[0], exact=True)).first
        assert found.locator("td").all_inner_texts()[:2] == list(row[1:])
    assert page.locator("#compared .panel path.line").count() == 4  # accuracy and loss of both
    assert page.locator("#compared tr", has_text="surrogate").first.locator("td").count() == 2
    page.locator("#compared .panel > svg").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".said").inner_text().startswith("first: epoch 0, ")
    ends = page.locator("#compared .panel > svg").first.get_attribute("data-y").split(" ")
    values = page.evaluate("self.methods.flatMap(each => each.curves[0].points.flatMap(([, ...ys]) => ys))")
    assert [float(end) for end in ends] == [min(values), max(values)]  # the bands' too
    for board in ("..", "digits_v1/.."):
        page.goto((site / "compare.html").as_uri() + f"#board={board}&first={first}&second={second}")
        page.wait_for_selector("#compared *", state="detached")
        page.reload()
        assert page.locator("#compared *").count() == 0


def test_any_two_methods_of_a_board_can_be_compared(site: Path, page: Any) -> None:
    """A loss board: less is better, and the smaller mean is called so; what does not exist is said in words."""
    rows = json.loads((site / "protocols" / "mackey_glass_v1.json").read_text())
    found = sorted(rows, key=lambda row: row["test_loss_mean"])
    address = (site / "compare.html").as_uri() + "#board=mackey_glass_v1&first={}&second={}"
    page.goto(address.format(found[-1]["method_id"], found[0]["method_id"]))
    page.wait_for_selector("#compared .answer")
    assert lines_naming(page.locator(".answer").inner_text(), "For this pair alone", "the second is better", "minus")


def test_the_pair_that_the_address_names_is_shown(site: Path, page: Any, browser: Any) -> None:
    """A script that comes late does not put its pair in the place of a later one; an error is no lost method."""
    first, second, third, *_ = sorted(path.stem for path in (site / "methods" / "digits_v1").glob("*.html"))
    address = "#board=digits_v1&first={}&second={}"
    page.goto((site / "compare.html").as_uri())
    page.evaluate(
        """slow => {
          const append = document.head.append.bind(document.head);
          document.head.append = script => {
            if (script.src.includes(slow)) self.release = () => append(script);
            else append(script);
          };
        }""",
        first,
    )
    for pair in ((first, second), (second, third)):
        page.evaluate("hash => { location.hash = hash; }", address.format(*pair))
        page.evaluate(KNOWN, pair[1])
    page.wait_for_selector("#compared .answer")
    page.evaluate("self.release()")
    page.evaluate(KNOWN, first)
    page.wait_for_timeout(100)
    assert f"board explain {second} {third} " in page.locator("#compared pre").inner_text()
    told = page.evaluate(
        """async hash => {
          self.methods.push({ id: "broken", board: "digits_v1" });
          history.replaceState(null, "", hash);
          return begin().then(() => "nothing", error => error.name);
        }""",
        address.format("broken", second),
    )
    assert told == "TypeError"
    context = browser.new_context()
    other = context.new_page()  # its console tells which file is lost
    other.goto((site / "compare.html").as_uri() + address.format("lost", second))
    other.wait_for_selector("#compared .notice")
    assert "no two such methods" in other.locator("#compared").inner_text()
    context.close()


def test_a_theme_is_kept(site: Path, page: Any) -> None:
    """Must differ: the paper's colour before and after; the next page has the same."""
    paper = "getComputedStyle(document.body).backgroundColor"
    page.goto((site / "index.html").as_uri())
    light = page.evaluate(paper)
    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate(paper)
    assert dark != light
    page.goto((site / "energy.html").as_uri())
    assert page.evaluate(paper) == dark


def test_a_narrow_screen_has_a_menu_and_shows_where_a_table_goes_on(site: Path, page: Any) -> None:
    """Expected: pages and search behind one button, which Escape closes; a wide screen has the list and no button."""
    board = site / "protocols" / "digits_v1.html"
    page.goto(board.as_uri())
    menu, pages, field = page.locator(".menu"), page.locator("#pages"), page.locator("nav input")
    assert (menu.is_visible(), pages.is_visible(), field.is_visible()) == (False, True, True)
    page.set_viewport_size({"width": 390, "height": 844})
    assert (menu.is_visible(), pages.is_visible(), field.is_visible()) == (True, False, False)
    menu.click()
    assert menu.get_attribute("aria-expanded") == "true"
    assert pages.is_visible()
    assert field.is_visible()
    page.keyboard.press("Escape")
    assert menu.get_attribute("aria-expanded") == "false"
    assert not pages.is_visible()
    box = page.locator(".scroll").first
    assert "more" in box.get_attribute("class")
    box.evaluate("each => { each.scrollLeft = each.scrollWidth; }")
    page.wait_for_selector(".scroll:not(.more)")


def test_commands_break_between_their_words(site: Path, page: Any) -> None:
    """Expected: on a narrow screen a word that fits is one line high, an option with its hyphens too."""
    page.set_viewport_size({"width": 390, "height": 844})
    for name in ("index.html", "submit.html", "protocols/digits_v1.html"):
        page.goto((site / name).as_uri())
        words = page.locator("pre span")
        found = words.evaluate_all(
            "each => each.map(word => [word.textContent.length, word.offsetHeight, word.offsetTop])"
        )
        heights = [height for letters, height, _ in found if letters <= 24]
        assert len(heights) > 4
        assert max(heights) == min(heights)
        assert len({top for _, _, top in found}) > 1


def test_a_chart_answers(site: Path, page: Any) -> None:
    """Expected: a mark says the accuracy of its method's row, lights the row and leads to the method's page.

    By hand: a linear axis moves marks and a second click moves them back; a name that is off has no marks.
    """
    page.goto((site / "protocols" / "digits_v1.html").as_uri())
    mark, said, scale = (
        page.locator(".panel a .dot").first,
        page.locator(".said").first,
        page.locator(".scales button"),
    )
    mark.scroll_into_view_if_needed()
    mark.hover(force=True)
    lit = page.locator("tr.lit")
    assert lit.count() == 1
    assert f": {float(lit.locator('td').nth(2).inner_text()):.4g} %" in said.inner_text()
    place = mark.get_attribute("d")
    scale.first.click()
    assert mark.get_attribute("d") != place
    scale.first.click()
    assert float(mark.get_attribute("d")[1:].split()[0]) == pytest.approx(float(place[1:].split()[0]), abs=1e-3)
    key = page.locator(".key button", has_text="Pareto")
    key.click()
    assert page.locator(".panel g.off").count() == 3  # spikes and two targets; on the third all cost alike
    key.click()
    assert page.locator(".panel g.off").count() == 0
    page.locator(".several .panel > svg").first.focus()  # of costs, whose points all lead
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**/methods/digits_v1/*.html")


def test_one_search_finds_boards_entries_and_methods(site: Path, page: Any) -> None:
    """Expected: the entry before its methods; words of the bar and of the address; nothing for nonsense."""
    page.goto((site / "energy.html").as_uri())
    page.get_by_label("Search all pages").fill("atan")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html#words=atan")
    assert page.locator("#found a").first.get_attribute("href") == "surrogates/atan.html"
    page.get_by_label("Words").fill("braille_delta_v2")
    assert page.locator("#found a").first.get_attribute("href") == "protocols/braille_delta_v2.html"
    assert page.locator("#found mark").count() > 0
    page.get_by_label("Words").fill("no such thing anywhere")
    assert page.locator("#found li").count() == 0


def test_a_page_of_1000_rows(large: Path, page: Any) -> None:
    """Expected: accuracies in the order of numbers, and the rows that Python finds by the same words.

    By hand: 200 rows are shown until all are asked for, by key or in print.
    """
    page.goto((large / "protocols" / "digits_v1.html").as_uri())
    assert len(column(page, 0)) == SHOWN
    assert page.locator("output").first.inner_text() == "1000 of 1000, the first 200 shown"
    heads = page.locator("thead").first.locator("th")
    heads.nth(3).locator("button").click()
    least = [float(text) for text in column(page, 3)]
    page.get_by_role("button", name="Show all").first.focus()
    page.keyboard.press("Enter")
    shown = [float(text) for text in column(page, 3)]
    assert len(shown) == ROWS
    assert shown == sorted(shown)
    assert least == shown[:SHOWN]
    expected = [text for text in column(page, 2) if "width_fwhm=1.05" in text]
    page.get_by_label("Rows with").first.fill("width_fwhm=1.05")
    assert column(page, 2) == expected
    assert 1 <= len(expected) < ROWS
    page.get_by_label("Rows with").first.fill("")
    page.reload()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(column(page, 0)) == ROWS


def test_nothing_is_lost_without_the_script(site: Path, browser: Any) -> None:
    """The words of a page with and without JavaScript are the same but for the filter's own."""
    texts = []
    for scripted in (True, False):
        context = browser.new_context(java_script_enabled=scripted)
        opened = context.new_page()
        opened.goto((site / "protocols" / "digits_v1.html").as_uri())
        for group in GROUPS if scripted else ():
            opened.get_by_label(group, exact=True).check()
        told = opened.locator("main").inner_text()
        for own in ("Rows with", "8 of 8", "Columns", "Copy", "x axis: linear", "y axis: linear", *GROUPS):
            told = told.replace(own, "")
        texts.append(told.split())
        context.close()
    assert texts[0] == texts[1]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_every_width(site: Path, browser: Any, width: int, scheme: str) -> None:
    """No page is wider than its window, in light and in dark."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = context.new_page()
    for address in addresses(site):
        opened.goto(address)
        assert opened.evaluate(OVERFLOW) <= 0, address
    context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(site: Path, browser: Any, scheme: str) -> None:
    """axe-core, an independent checker of accessibility, has no finding in either colour scheme."""
    assert violations(browser, scheme, addresses(site)) == []


def test_prints_on_a4_without_cut_columns(site: Path, browser: Any) -> None:
    """In print no table is wider than a page of A4 in landscape: 277 mm between margins, at 96 points an inch."""
    context = browser.new_context(viewport={"width": round(277 / 25.4 * 96), "height": 800})
    opened = context.new_page()
    opened.emulate_media(media="print")
    boards = [path.as_uri() for path in sorted((site / "protocols").glob("*.html"))]
    for address in (*boards, *addresses(site)):
        opened.goto(address)
        wide = opened.evaluate(WIDEST)
        assert wide <= opened.viewport_size["width"] + 1, address
    context.close()
