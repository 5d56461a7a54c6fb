"""Ask the user's own git about a checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

FAILURES = (OSError, subprocess.SubprocessError)
"""What comes of a git that is missing, takes too long or says no."""


def ask(folder: Path, *words: str, timeout_s: float) -> bytes:
    """Return what git prints about the checkout that holds a folder.

    Args:
        folder: from which git looks for the checkout.
        words: of the command, fixed ones or names that were checked.
        timeout_s: how long git may take.

    Raises:
        OSError, subprocess.SubprocessError: see `FAILURES`.
    """
    return subprocess.run(  # noqa: S603 - no shell, and words as above
        ["git", "-C", str(folder), *words],  # noqa: S607 - the user's own git
        capture_output=True,
        timeout=timeout_s,
        check=True,
    ).stdout
