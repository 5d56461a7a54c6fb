"""Builds a site from a leaderboards folder, and checks that one is what its records give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.site.beside import Beside, pictures_of
from sgbench.leaderboard.site.folder import compare_site, links_docs, listed, require_ours, write_site
from sgbench.leaderboard.site.pages import site_files
from sgbench.leaderboard.site.sources import NOTHING_BESIDE, read_sources
from sgbench.leaderboard.store.reading import Finding


@dataclass(frozen=True)
class BuiltSite:
    """Lists what was built, and what was left out."""

    into: str
    boards: int
    methods: int
    files: int
    bytes: int
    left_out: tuple[Finding, ...]


def build_site(
    root: Path, into: Path, *, references: References, commit: str, beside: Beside = NOTHING_BESIDE
) -> BuiltSite:
    """Build the site of a leaderboards folder.

    Args:
        root: the leaderboards folder.
        into: the folder of the site, which may hold an older one and nothing else.
        references: what the catalogue says of protocols.
        commit: of the records, or words in its place.
        beside: what is shown beside the records.

    Raises:
        InputError: a folder is missing, holds other files, or lies inside the other.
        StorageError: the site cannot be written; an older one is still there.
    """
    require_ours(into)
    inside = root.resolve()
    if inside == into.resolve() or inside in into.resolve().parents:
        raise InputError(f"--into {into}: lies inside {root}, where folders are protocols; choose another")
    sources = read_sources(root, references=references, commit=commit, beside=beside)
    written = write_site(into, site_files(sources), has_docs=beside.has_docs)
    return BuiltSite(
        str(into), len(sources.boards), len(sources.places), written.files, written.bytes, sources.findings
    )


def check_site(
    root: Path, site: Path, *, references: References, commit: str, beside: Beside = NOTHING_BESIDE
) -> tuple[Finding, ...]:
    """Build a site in memory and return how another differs from it.

    Args:
        root: the leaderboards folder.
        site: the folder of the site.
        references: what the catalogue says of protocols.
        commit: of the records, or words in its place.
        beside: what is shown beside the records; whether the documentation and pictures of entries are there, the
            site's own list says.

    Raises:
        InputError: a folder is missing, or the second is no site.
    """
    pictures = pictures_of(listed(site) or {}, site, beside.pictures)
    as_built = replace(beside, has_docs=links_docs(site), pictures=pictures)
    sources = read_sources(root, references=references, commit=commit, beside=as_built)
    return (*sources.findings, *compare_site(site, site_files(sources)))
