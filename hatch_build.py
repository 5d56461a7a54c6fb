"""Put into the wheel what the checkout knows: its commit and address, what studies found, and all boards."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

SUMMARIES = {
    "study/surrogates/summary.json": "sgbench/study_results/surrogates.json",
    "study/answer.json": "sgbench/study_results/answer.json",
}
"""Maps the files that `sgbench recommend` reads to their places in the wheel."""
MEASURED, MEASURED_INSIDE = "study/chip", "sgbench/study_results/chip"
"""Shards of runs that `sgbench recommend --target` reads, and where they lie in the wheel."""
BOARDS = "leaderboards"
"""Of which `sgbench board show` and its neighbours have all rows where there is no checkout."""
REGISTRY_INSIDE = "sgbench/registry.json.xz"
WATCHED = (
    "sgbench",
    "fastspiking",
    "conf",
    "hydra_plugins",
    "pyproject.toml",
    "hatch_build.py",
    *SUMMARIES,
    MEASURED,
    BOARDS,
)
"""What the wheel is made of: a change in one of these that is not committed makes the commit unclean."""


class CommitHook(BuildHookInterface):
    """Adds the commit, study results and boards of a checkout to what is built from it.

    A wheel that is built from an sdist has those that the sdist has.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to `build_data`; an editable install reads the checkout itself, so it gets none."""
        if version == "editable":
            return
        root = Path(self.root)
        for summary, inside in SUMMARIES.items():
            if (root / summary).is_file():
                build_data["force_include"][str(root / summary)] = inside
        for shard in (root / MEASURED).glob("*.jsonl.xz"):
            build_data["force_include"][str(shard)] = f"{MEASURED_INSIDE}/{shard.name}"
        commit = git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
        if not commit:
            return
        changes = git(root, "status", "--porcelain", "--untracked-files=normal", "--", *WATCHED)
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "commit.json"
        path.write_text(json.dumps({"commit": commit, "clean": changes == ""}) + "\n", encoding="utf-8")
        build_data["force_include"][str(path)] = "sgbench/commit.json"
        if (root / BOARDS).is_dir():
            path = Path(self.folder.name) / "registry.json.xz"
            path.write_bytes(condensed_boards(root, commit, git(root, "log", "-1", "--format=%cI") or ""))
            build_data["force_include"][str(path)] = REGISTRY_INSIDE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary file."""
        folder = getattr(self, "folder", None)
        if folder is not None:
            folder.cleanup()


def condensed_boards(root: Path, commit: str, created_utc: str) -> bytes:
    """Condense all boards with the checkout's own code, which needs what pyproject.toml names beside the hook."""
    sys.path.insert(0, str(root))
    try:
        from sgbench.leaderboard.contents import make_shipped, pack

        return pack(make_shipped(root / BOARDS, commit=commit, created_utc=created_utc))
    finally:
        sys.path.remove(str(root))


class AddressHook(MetadataHookInterface):
    """Gives the package index the README with whole addresses, and the project's own, which `origin` states."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set README and addresses; if `origin` has no web address, links stay relative and there are no addresses."""
        root = Path(self.root)
        text = (root / "README.md").read_text(encoding="utf-8")
        is_checkout = (root / ".git").exists()
        address = web_address(git(root, "remote", "get-url", "origin") or "") if is_checkout else None
        if address is not None:
            text = absolute(text, address, git(root, "rev-parse", "HEAD") or "HEAD")
            metadata["urls"] = {
                "Repository": address,
                "Documentation": f"{address}/blob/HEAD/docs/index.md",
                "Changelog": f"{address}/blob/HEAD/CHANGELOG.md",
                "Issues": f"{address}/issues",
            }
        else:
            metadata["urls"] = {}
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def web_address(remote: str) -> str | None:
    """Return the web page of a git remote, without user name and password; None if it is a folder.

    >>> web_address("git@example.org:us/sgbench.git"), web_address("https://me:it@example.org/us/sgbench")
    ('https://example.org/us/sgbench', 'https://example.org/us/sgbench')
    """
    scp_form = re.fullmatch(r"[\w.-]+@([\w.-]+):([\w./-]+)", remote)  # user@host:path
    parts = urlsplit(f"ssh://{scp_form[1]}/{scp_form[2]}" if scp_form else remote)
    if parts.scheme not in ("http", "https", "ssh", "git") or not parts.hostname:
        return None
    return f"https://{parts.hostname}/{parts.path.strip('/').removesuffix('.git')}"


def absolute(text: str, address: str, commit: str) -> str:
    """Make the relative links and pictures of a Markdown text absolute, at a commit of the repository at `address`.

    >>> absolute("[a](docs/a.md#b) ![c](d.png) [e](https://f.org) [g](#h)", "https://x.org/y", "1")
    '[a](https://x.org/y/blob/1/docs/a.md#b) ![c](https://x.org/y/raw/1/d.png) [e](https://f.org) [g](#h)'
    """

    def absolute_link(match: re.Match[str]) -> str:
        mark, words, target = match.groups()  # the mark "!" is that of a picture
        return f"{mark}[{words}]({address}/{'raw' if mark else 'blob'}/{commit}/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)]+)\)", absolute_link, text)


def git(root: Path, *words: str) -> str | None:
    """Return the output of a git command, or None if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-c", "core.fsmonitor=", "-C", str(root), *words],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
