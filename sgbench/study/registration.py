"""Is what a study builds on committed: its own file, and what its earlier blocks settled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sgbench.errors import InputError
from sgbench.paths import conf_dir
from sgbench.study.settle import SETTLED
from sgbench.training import git

GIT_S = 60


def require_committed(folder: Path, needs: Sequence[str]) -> None:
    """Refuse a block whose file of best settings is in a git repository, but not committed as it is.

    Args:
        folder: of the study; a folder outside any repository is not refused.
        needs: the earlier blocks whose best settings this one uses; without any, nothing is checked.

    Raises:
        InputError: the best settings of the earlier blocks differ from what is committed.
    """
    path = folder / SETTLED
    if needs and path.exists() and is_committed(path) is False:
        raise InputError(f"{path}: commit it first; the block builds on what {', '.join(needs)} settled")


def require_registered_file(path: Path) -> None:
    """Refuse a study of the user's own that is not committed; those of sgbench are part of its commit.

    Raises:
        InputError: the file is in no repository, or differs from what is committed.
    """
    if not path.resolve().is_relative_to(conf_dir().resolve()) and not is_committed(path):
        raise InputError(f"{path}: commit it first; a study is registered before its first run")


def is_committed(path: Path) -> bool | None:
    """Return whether a file lies in a repository as it is committed there; None where there is no repository.

    Raises:
        InputError: there is one, and git cannot say.
    """
    place = path.resolve()
    words = ["status", "--porcelain", "--ignored", "--untracked-files=all", "--", place.name]
    try:
        changes = git.ask(place.parent, *words, timeout_s=GIT_S)
    except git.FAILURES as error:
        if not any((folder / ".git").exists() for folder in place.parents):
            return None
        stderr: bytes = getattr(error, "stderr", None) or b""
        said = stderr.decode(errors="replace") or error
        raise InputError(f"{path}: git cannot say whether it is committed: {said}") from error
    return not changes.strip()
