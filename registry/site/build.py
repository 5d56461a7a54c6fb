"""Build a site from a leaderboards folder, and check a built site against its records."""

from dataclasses import dataclass, replace
from pathlib import Path

from registry.site.folder import compare_site, links_docs, listed, require_ours, write_site
from registry.site.pages import site_files
from registry.site.sources import NO_EXTRAS, SiteExtras, pictures_of, read_sources
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.reading import Finding


@dataclass(frozen=True)
class BuiltSite:
    """Counts the parts of a built site, and lists the files that were left out."""

    into: str  # folder of the site
    boards: int
    methods: int
    files: int
    bytes: int
    left_out: tuple[Finding, ...]


def build_site(
    root: Path, into: Path, *, references: References, commit: str, extras: SiteExtras = NO_EXTRAS
) -> BuiltSite:
    """Build the site of a leaderboards folder; return its size, and which files were left out.

    `root`: the leaderboards folder. `into`: the folder of the site, which may hold an older one and nothing else.
    `references`: references of the catalogue's protocols. `commit`: git commit of the records, or a text that there is
    none. `extras`: what is shown in addition to records.
    """
    require_ours(into)
    boards, site = root.resolve(), into.resolve()
    if boards == site or boards in site.parents:
        raise InputError(f"--to {into}: lies inside {root}, where folders are protocols; choose another")
    sources = read_sources(root, references=references, commit=commit, extras=extras)
    written = write_site(into, site_files(sources), has_docs=extras.has_docs)
    return BuiltSite(str(into), len(sources.boards), len(sources.shown), written.files, written.bytes, sources.findings)


def check_site(
    root: Path, site: Path, *, references: References, commit: str, extras: SiteExtras = NO_EXTRAS
) -> tuple[Finding, ...]:
    """Build a site in memory, and return a finding for each difference of a stored one.

    `root`: the leaderboards folder. `site`: the folder of the site. `references`: references of the catalogue's
    protocols. `commit`: git commit of the records, or a text that there is none. `extras`: what is shown in addition to
    records; documentation and pictures of entries only if the site has them.
    """
    pictures = pictures_of(listed(site) or {}, site, extras.pictures)
    as_built = replace(extras, has_docs=links_docs(site), pictures=pictures)
    sources = read_sources(root, references=references, commit=commit, extras=as_built)
    return (*sources.findings, *compare_site(site, site_files(sources)))
