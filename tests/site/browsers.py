"""What tests in a browser share: the widths and schemes that are looked at, and what axe-core finds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

WIDTHS, SCHEMES = (360, 768, 1440), ("light", "dark")
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
"""By how many points a page is wider than its window."""


def violations(browser: Any, scheme: str, addresses: Iterable[str]) -> list[tuple[str, str, list[str]]]:
    """What axe-core has to say of pages: where, the rule, and the first elements that break it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install 'sgbench[browser]'")
    # axe is put into the page by its driver, which the page's own policy forbids everybody else.
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    opened = context.new_page()
    told = []
    for address in addresses:
        opened.goto(address)
        for each in axe.Axe().run(opened).response["violations"]:
            nodes = [node["html"][:160] for node in each["nodes"][:4]]
            told.append((address, each["id"], nodes))
    context.close()
    return told


def heard(text: str) -> list[str]:
    """What a page says on the console; the theme of the documentation notes there what it does."""
    return [] if text.startswith("[PST]: ") else [text]


def lost(request: Any) -> list[str]:
    """A file that could not be read; one that was no longer wanted when the page was left is none."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"{request.url}: {request.failure}"]
