"""Passages of documents that a report writes: in their place, stale where they differ, one place alone."""

from pathlib import Path

import pytest

from sgbench.errors import InputError
from sgbench.study_runner.store import Store
from study.reporting.report import Passage, Report, own_checkout
from tests.messages import raises_naming

DOCUMENT = "# Title\n\nby hand\n\n<!-- study:toy -->\nold\n<!-- /study -->\n\nby hand too\n"


def test_a_report_writes_its_passage_and_nothing_else(tmp_path: Path) -> None:
    """By hand: the text between the comments is replaced; what people wrote stays, and the second write is none."""
    (tmp_path / "page.md").write_text(DOCUMENT)
    report = Report((), passages=(Passage("page.md", "toy", "new"),))
    assert report.stale_passages(tmp_path) == ["page.md"]
    assert report.write_passages(tmp_path) == ["page.md"]
    assert (tmp_path / "page.md").read_text() == DOCUMENT.replace("old", "new")
    assert report.stale_passages(tmp_path) == []
    assert report.write_passages(tmp_path) == []


@pytest.mark.parametrize(
    "document",
    ["no place", DOCUMENT + DOCUMENT, "<!-- study:toy --> <!-- study:other --> <!-- /study -->", "<!-- study:toy -->"],
)
def test_a_document_without_one_place_is_refused(document: str) -> None:
    """Must differ: none, two, one within another, and one that does not end."""
    with raises_naming(InputError, "page.md", "<!-- study:toy -->"):
        Passage("page.md", "toy", "new").within(document)


def test_a_missing_document_is_named(tmp_path: Path) -> None:
    """Expected: one line with its path."""
    with pytest.raises(InputError, match=r"page\.md: is missing"):
        Report((), passages=(Passage("page.md", "toy", "new"),)).stale_passages(tmp_path)


def test_documents_follow_the_store_of_their_checkout_alone(tmp_path: Path) -> None:
    """Must differ: a store elsewhere, or of another study, changes no document."""
    own = Store(tmp_path / "study" / "toy", "toy")
    assert own_checkout(tmp_path, own) == tmp_path
    assert own_checkout(tmp_path, Store(tmp_path / "elsewhere", "toy")) is None
    assert own_checkout(None, own) is None
    (tmp_path / "page.md").write_text(DOCUMENT)
    report = Report((), passages=(Passage("page.md", "toy", "new"),))
    assert report.all_stale(tmp_path, own.folder, tmp_path) == [tmp_path / "page.md"]
    assert report.all_stale(tmp_path, own.folder, None) == []
