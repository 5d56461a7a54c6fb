"""Commits that a submission names, held against the history of the repository that the boards lie in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sgbench.training import git

GIT_S = 10.0
OURS = "sgbench/engine/version.py"
"""A file that every commit of sgbench has."""


def strange(commits: Iterable[str], folder: Path) -> Iterator[str]:
    """Yield the commits that are not in the history of sgbench, as far as a folder's repository has it.

    Args:
        commits: in 40 hexadecimal digits.
        folder: in a checkout; where that is none of sgbench, or has a part of the history alone, nothing is known.
    """
    if not folder.is_dir() or not _knows(folder):
        return
    for commit in dict.fromkeys(commits):
        if not _says_yes(folder, "merge-base", "--is-ancestor", commit, "HEAD"):
            yield commit


def _knows(folder: Path) -> bool:
    """Return whether a folder lies in a checkout of sgbench with the whole history."""
    try:
        shallow = git.ask(folder, "rev-parse", "--is-shallow-repository", timeout_s=GIT_S).decode().strip()
    except git.FAILURES:
        return False
    return shallow == "false" and _says_yes(folder, "cat-file", "-e", f"HEAD:{OURS}")


def _says_yes(folder: Path, *words: str) -> bool:
    try:
        git.ask(folder, *words, timeout_s=GIT_S)
    except git.FAILURES:
        return False
    return True
