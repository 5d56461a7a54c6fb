"""Put into the wheel what the checkout knows: its commit, and the summary of the study of surrogates."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SUMMARY = "study/surrogates/summary.json"
"""What `sgbench recommend` is fitted to."""
SUMMARY_INSIDE = "sgbench/study/surrogates.json"
WATCHED = ("sgbench", "conf", "hydra_plugins", "pyproject.toml", "hatch_build.py", SUMMARY)
"""What the wheel is made of: a change in one of these that is not committed makes the commit unclean."""


class CommitHook(BuildHookInterface):
    """Adds both to what is built from a checkout; a wheel that is made of an sdist takes the sdist's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hand the file to the builder; an editable install asks git itself, so it gets none."""
        if version == "editable":
            return
        root = Path(self.root)
        summary = root / SUMMARY
        if summary.is_file():
            build_data["force_include"][str(summary)] = SUMMARY_INSIDE
        commit = git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
        if not commit:
            return
        changes = git(root, "status", "--porcelain", "--untracked-files=normal", "--", *WATCHED)
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "commit.json"
        path.write_text(json.dumps({"commit": commit, "clean": changes == ""}) + "\n", encoding="utf-8")
        build_data["force_include"][str(path)] = "sgbench/commit.json"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary file."""
        folder = getattr(self, "folder", None)
        if folder is not None:
            folder.cleanup()


def git(root: Path, *words: str) -> str | None:
    """What git answers, or None where it cannot."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(root), *words],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
