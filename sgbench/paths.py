"""What this machine has: the catalogue, a user's runs and data, processors."""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import re
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from sgbench.errors import InputError, StorageError

log = logging.getLogger("sgbench")

RECORD = "record.json"  # of a run, in its folder
PREDICTIONS = "predictions.csv"  # beside it
WEIGHTS = "weights.safetensors"  # beside it
FILES = (RECORD, WEIGHTS, PREDICTIONS)
"""Of a run, that go along to a logger where that was asked for."""


def conf_dir() -> Path:
    """Return the catalogue folder `conf/`: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "conf", package.parent / "conf"):
        if (candidate / "config.yaml").is_file():
            return candidate
    raise FileNotFoundError("conf/ was not found beside or inside the package: is the install broken?")


OWN_CONF = "sgbench_conf"


def own_conf_dir() -> Path:
    """Return where one's own entries are written and always looked for: $SGBENCH_CONF or ./sgbench_conf."""
    return Path(os.environ.get("SGBENCH_CONF") or OWN_CONF)


HASHED = re.compile(r"(?P<name>.+)_[0-9a-f]{8}(?:_v\d+)?")
"""A name of one's own data, to which a hash of the samples and settings is added."""


def whole_name(name: str, known: Iterable[str]) -> str:
    """Return the one known name that adds a hash to this one, or the name itself.

    >>> whole_name("mine", ["mine_1f0c9a2b_v1", "yours_1f0c9a2b_v1"]), whole_name("mi", ["mine_1f0c9a2b_v1"])
    ('mine_1f0c9a2b_v1', 'mi')
    """
    names = list(known)
    whole = [one for one in names if (found := HASHED.fullmatch(one)) is not None and found["name"] == name]
    return whole[0] if len(whole) == 1 and name not in names else name


ALLOW_ENV = "SGBENCH_ALLOW_ENV"


def allowed_env() -> list[str]:
    """List the variables that files of others may read: $SGBENCH_ALLOW_ENV, with commas between them."""
    return _listed(ALLOW_ENV)


def allowed_targets() -> list[str]:
    """List the classes that one trusts in every command: $SGBENCH_ALLOW_TARGET, with commas between them.

    A variable, and no file beside the entries: whoever hands on a folder could put one there.
    """
    return _listed("SGBENCH_ALLOW_TARGET")


def _listed(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def with_own(folders: Iterable[Path]) -> list[Path]:
    """List the folders of entries that were named, and the user's own (see `own_conf_dir`) where it exists."""
    own = own_conf_dir()
    return [*(Path(folder) for folder in folders), *([own] if own.is_dir() else [])]


def default_runs_dir() -> Path:
    """Return where runs are written unless `paths.runs_dir` says otherwise: $SGBENCH_RUNS or ./runs."""
    return Path(os.environ.get("SGBENCH_RUNS") or "runs")


def default_data_dir() -> Path:
    """Return where data sets are looked for unless `paths.data_dir` says so: $SGBENCH_DATA or the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SGBENCH_DATA") or cache / "sgbench")


def default_cache_dir() -> Path:
    """Return where data sets are kept in the form of batches: $SGBENCH_CACHE or the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SGBENCH_CACHE") or cache / "sgbench" / "prepared")


def default_loops_dir() -> Path | None:
    """Return where loops written for a neuron are kept: $SGBENCH_LOOPS or the cache; None for `off`."""
    if os.environ.get("SGBENCH_LOOPS") == "off":
        return None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SGBENCH_LOOPS") or cache / "sgbench" / "loops")


def default_kernels_dir() -> Path:
    """Return where compiled loops of the fused engine are kept unless $NUMBA_CACHE_DIR is set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sgbench" / "kernels"


OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def is_private(path: Path) -> bool:
    """Return whether nobody but this user and the system's administrator can write a file or folder."""
    if not hasattr(os, "getuid"):
        return True
    status = path.stat()
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & OTHERS_WRITE


def private_folder(wanted: Path) -> Path:
    """Return a folder for what is run as code: the wanted one, made if needed, or one that is this user's alone.

    Raises:
        OSError: it cannot be made.
        StorageError: none can that nobody else writes.
    """
    wanted.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
    if is_private(wanted):
        return wanted
    own = f"of_{os.getuid()}"
    for folder in (wanted / own, Path(tempfile.gettempdir()) / f"sgbench_{own}" / wanted.name):
        try:
            folder.parent.mkdir(mode=stat.S_IRWXU, exist_ok=True)
            folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
        except OSError:
            continue
        if is_private(folder) and (folder.parent == wanted or is_private(folder.parent)):
            _tell_private(wanted, folder)
            return folder
    raise StorageError(
        f"{wanted}: others can write there, and no folder of your own can be made; chmod go-w it"
    )


@functools.cache
def _tell_private(wanted: Path, folder: Path) -> None:
    """Say once, in the process that a user sees."""
    if multiprocessing.parent_process() is None:
        log.warning("%s is not used, since others can write there (chmod go-w); %s is", wanted, folder)


def default_cache_gb() -> float:
    """Return the gigabytes for prepared data: $SGBENCH_CACHE_GB or 50; the least recently used go first.

    Raises:
        InputError: the variable is no number above 0.
    """
    text = os.environ.get("SGBENCH_CACHE_GB") or "50"
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise InputError(f"SGBENCH_CACHE_GB={text}: a number of gigabytes above 0 is needed")
    return limit


def run_dir(runs_dir: Path, protocol: str, method_id: str, seed: int) -> Path:
    """Return the folder of one run: <runs_dir>/<protocol>/<method_id>/<seed>."""
    return runs_dir / protocol / method_id / str(seed)


def processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
