"""Require that a study's file and the best settings of its earlier blocks are committed to git."""

from collections.abc import Sequence
from pathlib import Path

from sgbench.errors import InputError
from sgbench.paths import conf_dir
from sgbench.study_runner.scores import SETTLED
from sgbench.training import provenance

GIT_S = 60


def require_committed(folder: Path, needs: Sequence[str]) -> None:
    """Raise an InputError if the best cells of a study lie in a git repository with uncommitted changes.

    `folder`: of the study's store; a folder outside any repository is not refused. `needs`: the earlier blocks whose
    best cells the next block uses; without any, nothing is checked.
    """
    path = folder / SETTLED
    if needs and path.exists() and is_committed(path) is False:
        raise InputError(f"{path}: commit it first; the block builds on what {', '.join(needs)} settled")


def require_registered_file(path: Path) -> None:
    """Refuse a user's study whose file is not committed; those of sgbench are part of its commit."""
    if not path.resolve().is_relative_to(conf_dir().resolve()) and not is_committed(path):
        raise InputError(f"{path}: commit it first; a study is registered before its first run")


def is_committed(path: Path) -> bool | None:
    """Return whether a file is committed unchanged in its repository; None outside a repository."""
    file = path.resolve()
    arguments = ["status", "--porcelain", "--ignored", "--untracked-files=all", "--", file.name]
    try:
        changes = provenance.ask(file.parent, *arguments, timeout_s=GIT_S)
    except provenance.FAILURES as error:
        if not any((folder / ".git").exists() for folder in file.parents):
            return None
        stderr: bytes = getattr(error, "stderr", None) or b""
        reason = stderr.decode(errors="replace") or error
        raise InputError(f"{path}: git cannot say whether it is committed: {reason}") from error
    return not changes.strip()
