"""The folder of a site: whole or not at all, and only where nothing else lies."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.site.folder import MANIFEST, compare_site, found_in, links_docs, write_site
from registry.site.pictures import SMALL_END, digest_in, small_drawing
from registry.site.render import SiteFile
from registry.site.sources import pictures_in, pictures_of
from sgbench.errors import InputError, StorageError
from sgbench.plots.style import numbers_text
from tests.messages import raises_naming


def files(*names: str, text: str = "old") -> list[SiteFile]:
    """Small files with one text."""
    return [SiteFile(name, lambda name=name: f"{name} {text}".encode()) for name in names]


def differences(folder: Path, made: list[SiteFile]) -> dict[str, str]:
    """What is wrong, by the file's path."""
    found = compare_site(folder, made)
    return {Path(each.path).relative_to(folder).as_posix(): each.reason.partition(":")[0] for each in found}


def test_each_way_to_differ_has_its_name(tmp_path: Path) -> None:
    """By hand: of five files one is as it was, the others are edited, stale, missing and left over."""
    site = tmp_path / "site"
    write_site(site, files("same", "edited", "stale", "missing", "gone", "below/same"))
    assert differences(site, files("same", "edited", "stale", "missing", "gone", "below/same")) == {}
    (site / "edited").write_text("mine")
    (site / "missing").unlink()
    (site / "notes.txt").write_text("mine")
    now = [*files("same", "edited", "missing", "below/same"), *files("stale", text="new")]
    assert differences(site, now) == {
        "edited": "edited",
        "missing": "missing",
        "stale": "stale",
        "gone": "left over",
        "notes.txt": "left over",
    }


def test_a_page_that_was_replaced_by_a_link_is_edited(tmp_path: Path) -> None:
    """What a link leads to is not read, be it the same."""
    site = tmp_path / "site"
    write_site(site, files("page"))
    (site / "page").rename(tmp_path / "elsewhere")
    (site / "page").symlink_to(tmp_path / "elsewhere")
    assert differences(site, files("page")) == {"page": "edited"}


def test_only_a_site_of_ours_is_replaced(tmp_path: Path) -> None:
    """A folder with other files is refused whatever they are; an empty one and an older site are taken."""
    site = tmp_path / "site"
    site.mkdir()
    write_site(site, files("old"))
    write_site(site, files("new"))
    assert found_in(site) == ["new", MANIFEST]
    (site / "notes.txt").write_text("mine")
    with raises_naming(InputError, "notes.txt"):
        write_site(site, files("new"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    with raises_naming(InputError, f"{other}", "no site"):
        write_site(other, files("new"))
    (other / MANIFEST).write_text(json.dumps({"kind": "else", "files": {}}))
    with raises_naming(InputError, f"{other}", "no site"):
        write_site(other, files("new"))
    link = tmp_path / "link"
    link.symlink_to(site)
    with pytest.raises(InputError, match="is no folder"):
        write_site(link, files("new"))
    assert (other / "thesis.tex").read_text() == "mine"
    with raises_naming(InputError, f"{other}", "no site"):
        differences(other, [])


def test_a_full_disk_leaves_the_old_site(tmp_path: Path) -> None:
    """The error names the remedy, the old site is whole, and nothing half lies beside it."""
    site = tmp_path / "site"
    write_site(site, files("page"))

    def full() -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    with raises_naming(StorageError, "No space left on device", "another folder"):
        write_site(site, [*files("page", text="new"), SiteFile("large", full)])
    assert (site / "page").read_text() == "page old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


def test_two_builds_at_once(tmp_path: Path) -> None:
    """Both end well, and what is there is the whole of one of them."""
    site = tmp_path / "site"
    both = threading.Barrier(2)

    def made(text: str) -> Iterator[SiteFile]:
        yield from files("a", "b", "c", text=text)
        both.wait(timeout=60)

    errors: list[Exception] = []

    def build(text: str) -> None:
        try:
            write_site(site, made(text))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=build, args=(text,)) for text in ("one", "two")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
    assert {path.read_text().split()[1] for path in site.glob("[abc]")} in ({"one"}, {"two"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


def test_a_picture_is_held_to_its_numbers(tmp_path: Path) -> None:
    """By hand: other numbers are another digest, which the file carries; a changed byte is an edit."""

    def picture(value: float) -> SiteFile:
        return small_drawing("p", [0.0, value, 1.0])

    name = f"p{SMALL_END}"

    site = tmp_path / "site"
    write_site(site, [picture(0.5)])
    data = (site / name).read_bytes()
    assert digest_in(data) == picture(0.5).digest != picture(0.6).digest
    assert differences(site, [picture(0.5)]) == {}
    assert differences(site, [picture(0.6)]) == {name: "stale"}
    (site / name).write_bytes(data + b"<!-- mine -->")
    assert differences(site, [picture(0.5)]) == {name: "edited"}
    assert numbers_text([0.1 + 0.2]) == numbers_text([0.3]) != numbers_text([0.3001])


def test_pictures_of_entries_are_those_that_a_site_has(tmp_path: Path) -> None:
    """Expected: of two entries the one whose picture is listed; drawn beside it, the newer file stands for it."""
    catalogue = tmp_path / "catalogue"
    (catalogue / "surrogate").mkdir(parents=True)
    (catalogue / "surrogate" / "atan.svg").write_text("new")
    drawn = pictures_in(catalogue)
    assert drawn == {"surrogates/atan.svg": catalogue / "surrogate" / "atan.svg"}
    site = tmp_path / "site"
    files = ["surrogates/atan.svg", "neurons/leaky.svg", "across.svg", "surrogates/atan.html"]
    assert pictures_of(files, site, drawn) == {**drawn, "neurons/leaky.svg": site / "neurons" / "leaky.svg"}
    assert pictures_of(["across.svg"], site, drawn) == {}


def test_a_site_says_whether_documentation_lies_beside_it(tmp_path: Path) -> None:
    """Expected: what it was written with; a folder that is no site has none."""
    write_site(tmp_path / "with", files("a"), has_docs=True)
    write_site(tmp_path / "without", files("a"))
    assert links_docs(tmp_path / "with")
    assert not links_docs(tmp_path / "without")
    assert not links_docs(tmp_path)
