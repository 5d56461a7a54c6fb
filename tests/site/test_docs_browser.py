"""The documentation as `make docs` leaves it in public/, in a real browser; skipped where it was not built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rooms import ROOT
from tests.site.browsers import OVERFLOW, SCHEMES, WIDTHS, violations

pytestmark = [pytest.mark.site, pytest.mark.filterwarnings("default")]
PUBLIC = ROOT / "public"
LOOKED_AT = (
    "index.html",
    "install.html",
    "architecture.html",
    "rules.html",
    "worked_entries.html",
    "search.html",
    "api/index.html",
    "api/python.html",
    "api/neurons.html",
    "catalogue/surrogates.html",
    "catalogue/neuron/adlif.html",
    "study/README.html",
    "tutorial/index.html",
    "tutorial/1_which_surrogate.html",
    "checkout/readme.html",
)


@pytest.fixture(scope="module")
def docs() -> Path:
    """The built documentation."""
    if not (PUBLIC / "docs" / "index.html").is_file():
        pytest.skip("no documentation in public/; build it with: make docs")
    return PUBLIC / "docs"


def test_every_page_opens_from_disk(docs: Path, page: Any) -> None:
    """No message of the console, and nothing asked of a network."""
    for path in sorted(docs.rglob("*.html")):
        if "_static" not in path.parts:  # templates of the theme
            page.goto(path.as_uri())
            assert page.title()


def test_formulas_are_drawn_without_a_script(docs: Path, browser: Any) -> None:
    """Expected: a formula with a height, in a page that runs no script."""
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto((docs / "api" / "neurons.html").as_uri())
    assert opened.locator("div.math math").first.bounding_box()["height"] > 20
    context.close()


def test_search_works_from_disk(docs: Path, page: Any) -> None:
    """Expected: the page of e-prop's rule among what is found by its name."""
    page.goto(f"{(docs / 'search.html').as_uri()}?q=eprop")
    page.locator("#search-results li").first.wait_for()
    assert "rules" in " ".join(page.locator("#search-results a").all_inner_texts()).lower()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_every_width(docs: Path, browser: Any, width: int, scheme: str) -> None:
    """No page is wider than its window, in light and in dark."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = context.new_page()
    for name in LOOKED_AT:
        opened.goto((docs / name).as_uri())
        assert opened.evaluate(OVERFLOW) <= 0, name
    context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(docs: Path, browser: Any, scheme: str) -> None:
    """axe-core has no finding in either colour scheme."""
    assert violations(browser, scheme, [(docs / name).as_uri() for name in LOOKED_AT]) == []
