"""Queries to the user's git about a checkout."""

import os
import subprocess
from pathlib import Path

QUIET = ("-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null")
"""Options that keep a checkout's own configuration from starting programs during a query."""
FAILURES = (OSError, subprocess.SubprocessError)
"""Errors of `ask` if git is missing, takes too long or fails."""


def ask(folder: Path, *words: str, timeout_s: float = 20.0) -> bytes:
    return subprocess.run(  # noqa: S603 - no shell, and words as above
        ["git", *QUIET, "-C", str(folder), *words],  # noqa: S607 - the user's own git
        env=_environment(),
        capture_output=True,
        timeout=timeout_s,
        check=True,
    ).stdout


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    path = [folder for folder in os.get_exec_path() if Path(folder).is_absolute()]
    return {**kept, "PATH": os.pathsep.join(path), "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
