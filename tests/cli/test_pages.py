"""docs/catalogue is what the entries say today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from sgbench.paths import conf_dir
from tools.catalogue_pages import pages
from tools.catalogue_pages.docstrings import described
from tools.catalogue_pages.page_text import table

COMMITTED = conf_dir().parent / "docs" / "catalogue"
OLD = ("gone.md", "gone.svg", "notes.txt")  # in the folder before pages are written
STALE = "docs/catalogue is stale; run: make catalogue (python -m tools.catalogue_pages.pages)"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as they would be written now, without pictures."""
    folder = tmp_path_factory.mktemp("catalogue")
    (folder / "surrogate").mkdir()
    for name in OLD:
        (folder / "surrogate" / name).write_text("old")
    pages.write(folder, pictures="none")
    return folder


def texts(folder: Path) -> dict[str, str]:
    """Markdown by its path."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.md")}


def test_pages_are_current(fresh: Path) -> None:
    """Same files, same text, and a picture beside every page of a surrogate or a neuron."""
    now, committed = texts(fresh), texts(COMMITTED)
    assert set(now) == set(committed), STALE
    assert [name for name in now if now[name] != committed[name]] == [], STALE
    for group in ("surrogate", "neuron"):
        pictures = {path.stem for path in (COMMITTED / group).glob("*.svg")}
        assert pictures == {Path(name).stem for name in now if name.startswith(f"{group}/")}, STALE


def test_pages_stay_small() -> None:
    """A picture under 80 kB, all under 4 MB."""
    sizes = {path.name: path.stat().st_size for path in COMMITTED.rglob("*") if path.is_file()}
    assert max(sizes.values()) < 80_000
    assert sum(sizes.values()) < 4_000_000


def test_every_entry_and_preset_is_named(fresh: Path) -> None:
    """Read from the files by hand: a row of the index each, and a row of the libraries' page each."""
    folder = conf_dir() / "surrogate"
    index, libraries = (fresh / "surrogates.md").read_text(), (fresh / "libraries.md").read_text()
    for path in folder.glob("*.yaml"):
        assert index.count(f"| [{path.stem}](surrogate/{path.stem}.md) |") == 1
    for path in folder.glob("*/*.yaml"):
        name = path.relative_to(folder).with_suffix("").as_posix()
        meta = yaml.safe_load(path.read_text())["meta"]
        assert libraries.count(f"`surrogate={name}`") == 1
        assert name in (fresh / "surrogate" / f"{meta['canonical']}.md").read_text()


def test_a_page_has_its_numbers(fresh: Path) -> None:
    """Of the triangle, by hand; the rounded atan has no corner."""
    triangle = (fresh / "surrogate" / "triangle.md").read_text()
    for row in (
        "| peak | 1 |",
        "| area | 1 |",
        "| support | [-1, 1] |",
        "| corners and jumps at u = | -1, 0, 1 |",
    ):
        assert row in triangle
    assert "| corners and jumps at u = | none |" in (fresh / "surrogate" / "atan.md").read_text()
    assert "![slope and primitive of triangle](triangle.svg)" in triangle


def test_every_neuron_is_named_with_its_engines(fresh: Path) -> None:
    """Read from the files by hand: a row each; and of three, what the classes say."""
    index = (fresh / "neurons.md").read_text()
    for path in (conf_dir() / "neuron").glob("*.yaml"):
        assert index.count(f"| [{path.stem}](neuron/{path.stem}.md) |") == 1
        assert str(yaml.safe_load(path.read_text())["meta"]["line"]) in index
    adlif, alpha, eif = ((fresh / "neuron" / f"{name}.md").read_text() for name in ("adlif", "alpha", "eif"))
    assert "| engines | fused, scan, reference; not snntorch: snnTorch has no such neuron |" in adlif
    assert "| `beta` | `exp(-dt / 10 ms)` | decay of the membrane per step" in adlif
    assert "not snntorch: snnTorch resets otherwise than subtract |" in alpha
    assert "| engines | reference; not fused or scan, because its neurons have no linear recurrence |" in eif
    assert "| state | u, s |" in eif
    assert "![responses of eif](eif.svg)" in eif


def test_links_lead_somewhere() -> None:
    """Every relative link of a committed page."""
    for path in COMMITTED.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).is_file(), f"{path}: {target}"


def test_pages_of_entries_that_are_gone_go(fresh: Path) -> None:
    """An old page and picture were removed; a file of another kind stays."""
    assert [name for name in OLD if (fresh / "surrogate" / name).exists()] == ["notes.txt"]


def test_docstrings_become_markdown() -> None:
    """Formulas, arguments over two lines, and an example; what it raises is left out."""

    class Documented:
        r"""A slope, :math:`|u|`.

        .. math:: a
            b

        Args:
            slope: the steepness,
                in units.
            scale: see there.

        Raises:
            InputError: never.

        >>> 1 + 1
        2
        """

    found = described(Documented)
    assert found.parameters == {"slope": "the steepness, in units.", "scale": "see there."}
    aligned = type("Aligned", (), {"__doc__": ".. math:: a &= b"})
    assert described(aligned).prose == "```math\n\\begin{aligned} a &= b \\end{aligned}\n```"
    assert found.prose == "A slope, $|u|$.\n\n```math\na b\n```\n\n```pycon\n>>> 1 + 1\n2\n```"


def test_bars_in_tables_are_escaped() -> None:
    """Or a cell would be two."""
    assert table(("a",), [("|u|",)]).splitlines()[-1] == "| \\|u\\| |"
