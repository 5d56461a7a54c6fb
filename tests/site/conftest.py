"""A browser for the tests that open pages in one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.site.browsers import heard, lost


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    driver = pytest.importorskip("playwright.sync_api", reason="no driver; pip install 'sgbench[browser]'")
    where = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if where is None:
        pytest.skip("no Chromium on the path; on Debian: apt-get install chromium")
    with driver.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=where, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails its test on any message of the console."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.extend(heard(message.text)))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("requestfailed", lambda request: said.extend(lost(request)))
    opened.on("request", lambda request: None if request.url.startswith("file:") else said.append(request.url))
    yield opened
    context.close()
    assert said == []
