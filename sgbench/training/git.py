"""Ask the user's own git about a checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

QUIET = ("-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null")
"""Settings with which a checkout's own configuration starts no program where git only looks."""
FAILURES = (OSError, subprocess.SubprocessError)
"""What comes of a git that is missing, takes too long or says no."""


def ask(folder: Path, *words: str, timeout_s: float) -> bytes:
    """Return git's output on the checkout that holds a folder.

    Args:
        folder: from which git looks for the checkout.
        words: of the command, fixed ones or names that were checked.
        timeout_s: how long git may take.

    Raises:
        OSError, subprocess.SubprocessError: see `FAILURES`.
    """
    return subprocess.run(  # noqa: S603 - no shell, and words as above
        ["git", *QUIET, "-C", str(folder), *words],  # noqa: S607 - the user's own git
        env=_environment(),
        capture_output=True,
        timeout=timeout_s,
        check=True,
    ).stdout


def _environment() -> dict[str, str]:
    """Copy the environment without what steers git, and with the program looked for in whole paths alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    path = [folder for folder in os.get_exec_path() if Path(folder).is_absolute()]
    return {**kept, "PATH": os.pathsep.join(path), "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
