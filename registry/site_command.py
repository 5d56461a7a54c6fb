"""`python -m registry site`: build the web site of all boards, or check a built one against the records."""

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from registry.site.build import build_site, check_site
from registry.site.pending import read_waiting
from registry.site.sources import SiteExtras, pictures_in, shipped_advice
from sgbench.cli.common import LEADERBOARDS, answer, left_out_lines, references_of, shared_options
from sgbench.leaderboard.store.reading import Finding
from sgbench.paths import conf_dir
from sgbench.tables import counted
from sgbench.training.provenance import FAILURES, ask

NO_COMMIT = "none"
SUBMISSIONS = "submissions"
"""The folder next to the boards into which pull requests put submissions."""


def register(commands: Any) -> None:
    site = commands.add_parser(
        "site", help="build a web site of all boards, which opens from disk, or check one", parents=shared_options()
    )
    site.add_argument(
        "--from", dest="root", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards"
    )
    site.add_argument("--to", type=Path, default=Path("site"), metavar="DIR", help="default: site")
    site.add_argument(
        "--docs", action="store_true", help="link the documentation, which make docs lays into docs/ of the site"
    )
    site.add_argument("--check", action="store_true", help="compare the site at --to with what the records give")
    site.set_defaults(handler=_site)


def _site(args: argparse.Namespace) -> int:
    """Build the web site of all boards, or check it; return 1 if anything is left out or differs."""
    waiting, left_out = read_waiting(args.root.resolve().parent / SUBMISSIONS)
    drawn = pictures_in(conf_dir().parent / "docs" / "catalogue")
    extras = SiteExtras(shipped_advice(), args.docs, drawn, tuple(waiting))
    references, commit = references_of(args), _commit_of(args.root)
    if args.check:
        findings = check_site(args.root, args.to, references=references, commit=commit, extras=extras)
        return _check(args, (*findings, *left_out))
    built = build_site(args.root, args.to, references=references, commit=commit, extras=extras)
    built = replace(built, left_out=(*built.left_out, *left_out))
    size = f"{built.files:,} files, {built.bytes / 1e6:.1f} MB"
    line = f"{built.boards} boards, {built.methods:,} methods; {size}; open {built.into}/index.html"
    answer(args, asdict(built), [line, *left_out_lines(built.left_out)])
    return 1 if built.left_out else 0


def _check(args: argparse.Namespace, findings: tuple[Finding, ...]) -> int:
    lines = [f"problem: {found}" for found in findings]
    tree = {"site": str(args.to), "findings": [asdict(found) for found in findings]}
    answer(args, tree, [*lines, f"{args.to}: {counted(len(findings), 'problem')}"])
    return 1 if findings else 0


def _commit_of(root: Path) -> str:
    """Return the hash of the last commit that changed a folder, "none" without git or commit.

    If the folder has uncommitted changes, ", with changes" is added.
    """
    try:
        commit = ask(root, "log", "-1", "--format=%H", "--", ".").decode().strip()
        changed = ask(root, "status", "--porcelain", "--", ".").strip()
    except FAILURES:
        return NO_COMMIT
    return f"{commit or NO_COMMIT}{', with changes' if changed else ''}"
