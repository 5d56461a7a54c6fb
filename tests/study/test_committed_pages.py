"""Committed pages of studies follow from what is committed beside them: by hashes, and slowly by every byte."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import study
from sgbench.errors import InputError
from sgbench.study_runner.definition import load_study
from sgbench.study_runner.store import Store
from study.__main__ import main
from study.reporting.report import READ, SOURCES, WRITTEN, changed_since, pages_folder, sources_json, sources_of

ROOT = Path(study.__path__[0]).parent
STUDIES = sorted(
    name
    for name in (path.parts[-3] for path in ROOT.glob("study/*/analysis/report.py"))
    if (ROOT / pages_folder(name)).is_dir()
)
"""Those that have pages; one whose runs are still made has none."""


@pytest.mark.parametrize("name", STUDIES)
def test_no_committed_page_is_older_than_what_it_tells(name: str) -> None:
    """Must match: hashes of runs, figures and tables that a report read, of pages it wrote, and today's files."""
    stale = changed_since(ROOT, ROOT / pages_folder(name))
    assert not stale, f"changed since the report: {', '.join(stale)}; write it: python -m study report {name}"
    tree = json.loads((ROOT / pages_folder(name) / SOURCES).read_text())
    assert {f"study/{name}/manifest.json", f"conf/study/{name}.yaml"} <= {*tree[READ]}
    pages = {path.relative_to(ROOT / pages_folder(name)).as_posix() for path in pages_of(name)}
    assert {*tree[WRITTEN]} == pages


def pages_of(name: str) -> list[Path]:
    """Markdown of a study's folder."""
    return sorted((ROOT / pages_folder(name)).rglob("*.md"))


def test_readme_counts_the_runs_of_the_study() -> None:
    """Must match: a number of more than four digits before "runs" in README, and that of the study's front page."""
    (stored,) = re.findall(r"([\d,]+) runs are stored", (ROOT / "docs" / "study" / "README.md").read_text())
    assert {*re.findall(r"\b(\d+,\d{3}) runs\b", (ROOT / "README.md").read_text())} <= {stored}


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_report_written_again_is_the_committed_one(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected: the same bytes from the same store, as `make docs` asks."""
    monkeypatch.chdir(ROOT)
    code = main(["report", name, "--check"])
    assert (code, capsys.readouterr().out) == (0, "")


def test_a_change_of_what_was_read_or_written_is_named(tmp_path: Path) -> None:
    """Must differ: a figure, a page, a file that is gone; must match: nothing changed. By hand."""
    (tmp_path / "docs").mkdir()
    files = {"figures.md": b"0.1", "docs/page.md": b"says 0.1"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    listed = sources_json({"figures.md": b"0.1"}, {"page.md": b"says 0.1"})
    (tmp_path / "docs" / SOURCES).write_bytes(listed)
    assert changed_since(tmp_path, tmp_path / "docs") == []
    for name, data in files.items():
        (tmp_path / name).write_bytes(b"0.2")
        assert changed_since(tmp_path, tmp_path / "docs") == [name]
        (tmp_path / name).unlink()
        assert changed_since(tmp_path, tmp_path / "docs") == [name]
        (tmp_path / name).write_bytes(data)
    (tmp_path / "docs" / SOURCES).write_text('{"read": []}')
    with pytest.raises(InputError, match=r"sources\.json: is not what a report writes"):
        changed_since(tmp_path, tmp_path / "docs")


def test_what_a_report_reads_is_the_study_its_registration_its_store_and_what_it_names(tmp_path: Path) -> None:
    """By hand; a summary that the report writes beside the store counts as it will be, not as it is."""
    root = ROOT
    loaded = load_study("recipes")
    folder = Store(root / "study" / "recipes", "recipes").folder
    read = sources_of(loaded, folder, root, ["pyproject.toml"], {"summary.json": b"new"})
    assert [*sorted(read)] == [
        "conf/study/recipes.yaml",
        "docs/preregistration_recipes.md",
        "pyproject.toml",
        "study/recipes/manifest.json",
        "study/recipes/summary.json",
    ]
    assert read["study/recipes/summary.json"] == b"new"
    (tmp_path / "docs").mkdir()
    (tmp_path / loaded.study.registration).write_text("registered")
    assert sources_of(loaded, folder, tmp_path, [], {}) == {loaded.study.registration: b"registered"}
