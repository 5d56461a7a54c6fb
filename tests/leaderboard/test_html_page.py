"""The one page of a user's own boards in HTML, and where the site of all boards has gone."""

from __future__ import annotations

import csv

import pytest

from sgbench.cli.main import main
from sgbench.leaderboard.pages.brief import html_page
from tests.leaderboard.factory import CLASSES, make_board, protocol, target
from tests.leaderboard.gallery import gallery
from tests.rooms import ROOT
from tests.site.documents import Document


def test_the_page_has_each_row_and_needs_no_other_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Reference: the committed table.csv, whose rows the page has in its order; no script, picture or link."""
    words = ["board", "show", "--from", "leaderboards", "--root", str(ROOT / "leaderboards"), "--protocol", "digits_v1"]
    assert main([*words, "--html"]) == 0
    text = capsys.readouterr().out
    page = Document(text)
    with (ROOT / "leaderboards" / "digits_v1" / "table.csv").open() as file:
        stored = list(csv.DictReader(file))
    assert text.count("<tr>") == 1 + len(stored) > 5
    assert page.problems == []
    assert page.values("script", "src") == page.values("link", "href") == page.values("a", "href") == []
    first = text.partition("<tbody>")[2].partition("</tr>")[0]
    assert f"<td>{100 * float(stored[0]['test_accuracy_mean']):.2f}</td>" in first


def test_what_strangers_wrote_is_escaped() -> None:
    """Must match: what would act in a page is text."""
    loud = protocol().model_copy(update={"about": "<script>x</script>"})
    board = make_board(gallery(), protocol=loud, targets={"toy": target()}, classes=CLASSES)
    assert "<script>" not in html_page([board])
    assert "&lt;script&gt;" in html_page([board])


@pytest.mark.parametrize("words", ["site --from boards --into out", "site --docs", "check --site out"])
def test_the_site_is_said_to_be_built_in_a_clone(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Must match: one line that names today's command, whatever the words of yesterday."""
    assert main(["board", *words.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "python -m registry site" in line
