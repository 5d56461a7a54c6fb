"""Pages of entries, as each build of the site writes them: what they say, and what they leave."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from registry.site.pictures import SMALL_END, digest_in
from sgbench.paths import conf_dir
from tools.catalogue_pages import pages
from tools.catalogue_pages.docstrings import described
from tools.catalogue_pages.page_text import Subject, table

OLD = ("gone.md", "gone.svg", "notes.txt")  # in the folder before pages are written
DRAWN = ("triangle", "leaky")
Subjects = list[Subject]


@pytest.fixture(scope="module")
def subjects() -> Subjects:
    """Every surrogate and every neuron of the catalogue."""
    return pages.every_subject()


@pytest.fixture(scope="module")
def fresh(subjects: Subjects, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all pages and the pictures of two entries, in which older files lay."""
    folder = tmp_path_factory.mktemp("catalogue")
    (folder / "surrogate").mkdir()
    for name in OLD:
        (folder / "surrogate" / name).write_text("old")
    pages.put(folder, [*pages.texts(subjects), *pages.pictures(some(subjects))])
    return folder


def some(subjects: Subjects) -> Subjects:
    """Those that are drawn here."""
    return [one for one in subjects if one.entry.name in DRAWN]


def test_every_entry_has_a_page(fresh: Path) -> None:
    """Read from the files by hand: a page for each surrogate that is no preset, and for each neuron."""
    for group in ("surrogate", "neuron"):
        written = {path.stem for path in (fresh / group).glob("*.md")}
        assert written == {path.stem for path in (conf_dir() / group).glob("*.yaml")}


def test_pictures_are_drawn_where_their_numbers_changed(fresh: Path, subjects: Subjects, tmp_path: Path) -> None:
    """Expected: a file with the right digest stays to the byte; must differ: one with another is drawn anew."""
    path, other = tmp_path / "surrogate" / "triangle.svg", tmp_path / "neuron" / "leaky.svg"
    drawn, first = ((fresh / each.relative_to(tmp_path)).read_bytes() for each in (path, other))
    kept = first + b"<!-- kept -->"
    for each, content in ((path, drawn.replace(str(digest_in(drawn)).encode(), b"0" * 64)), (other, kept)):
        each.parent.mkdir()
        each.write_bytes(content)
    pages.put(tmp_path, list(pages.pictures(some(subjects))))
    assert path.read_bytes() == drawn
    assert other.read_bytes() == kept
    assert max(len(drawn), len(kept)) < 80_000


@pytest.mark.slow
def test_all_pages_and_pictures_stay_small(tmp_path: Path) -> None:
    """A picture and a sparkline for every page, none over 80 kB, and 15 kB a file on average however many there are."""
    written = pages.write(tmp_path)
    sizes = [path.stat().st_size for path in written]
    assert max(sizes) < 80_000
    assert sum(sizes) < 15_000 * len(sizes)
    of_pages = [path for path in written if path.suffix == ".md" and path.parent != tmp_path]
    wanted = {path.with_suffix(end) for path in of_pages for end in (".svg", SMALL_END)}
    assert {path for path in written if path.suffix == ".svg"} == wanted


def test_every_entry_and_preset_is_named(fresh: Path) -> None:
    """Read from the files by hand: a row of the index each, and a row of the libraries' page each."""
    folder = conf_dir() / "surrogate"
    index, libraries = (fresh / "surrogates.md").read_text(), (fresh / "libraries.md").read_text()
    for path in folder.glob("*.yaml"):
        assert index.count(f"| [`{path.stem}`](surrogate/{path.stem}.md) |") == 1
    for path in folder.glob("*/*.yaml"):
        name = path.relative_to(folder).with_suffix("").as_posix()
        meta = yaml.safe_load(path.read_text())["meta"]
        assert libraries.count(f"`surrogate={name}`") == 1
        assert name in (fresh / "surrogate" / f"{meta['canonical']}.md").read_text()


def test_a_page_has_its_numbers(fresh: Path) -> None:
    """Of the triangle, by hand; the rounded atan has no corner."""
    triangle = (fresh / "surrogate" / "triangle.md").read_text()
    for row in ("| peak | 1 |", "| area | 1 |", "| support | [-1, 1] |", "| corners and jumps at u = | -1, 0, 1 |"):
        assert row in triangle
    assert "| corners and jumps at u = | none |" in (fresh / "surrogate" / "atan.md").read_text()
    assert "![slope and primitive of triangle](triangle.svg)" in triangle


def test_every_neuron_is_named_with_its_engines(fresh: Path) -> None:
    """Read from the files by hand: a row each; and of three, what the classes say."""
    index = (fresh / "neurons.md").read_text()
    for path in (conf_dir() / "neuron").glob("*.yaml"):
        assert index.count(f"| [`{path.stem}`](neuron/{path.stem}.md) |") == 1
        assert str(yaml.safe_load(path.read_text())["meta"]["line"]) in index
    adlif, alpha, eif = ((fresh / "neuron" / f"{name}.md").read_text() for name in ("adlif", "alpha", "eif"))
    assert "| engines | fused, scan, reference; not snntorch: snnTorch has no such neuron |" in adlif
    assert "| `beta` | `exp(-dt / 10 ms)` | decay of the membrane per step" in adlif
    assert "not snntorch: snnTorch resets otherwise than subtract |" in alpha
    assert "| engines | reference; not fused or scan, because its neurons have no linear recurrence |" in eif
    assert "| state | u, s |" in eif
    assert "![responses to currents of eif](eif.svg)" in eif


def test_links_lead_somewhere(fresh: Path) -> None:
    """Every relative link of a page leads to a page, or to the picture of the entry itself."""
    for path in fresh.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).is_file() or target == f"{path.stem}.svg", f"{path}: {target}"


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
