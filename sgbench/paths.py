"""Finds folders on this machine (catalogue, runs, data, caches), and reads environment variables."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from fastspiking.paths import user_cache
from sgbench.errors import InputError

RECORD = "record.json"  # in the folder of a run
PREDICTIONS = "predictions.csv"  # in the folder of a run
WEIGHTS = "weights.safetensors"  # in the folder of a run
JUDGED = "judged"
"""Folder inside a runs folder that holds the runs of `sgbench judge`; boards do not read it."""
FILES = (RECORD, WEIGHTS, PREDICTIONS)
"""Files of a run that are copied to a logger with `artifacts`."""


def conf_dir() -> Path:
    """Return the folder of the catalogue: inside an installed package, or beside the package of a checkout."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "conf", package.parent / "conf"):
        if (candidate / "config.yaml").is_file():
            return candidate
    raise FileNotFoundError("conf/ was not found beside or inside the package: is the install broken?")


OWN_CONF_FOLDER = "sgbench_conf"


def own_conf_dir() -> Path:
    return Path(os.environ.get("SGBENCH_CONF") or OWN_CONF_FOLDER)


HASHED_NAME = re.compile(r"(?P<name>.+)_[0-9a-f]{8}(?:_v\d+)?")
"""Matches a name of the user's own data with the hash of samples and settings that was added to it."""


def whole_name(name: str, known: Iterable[str]) -> str:
    """Return the one known name that is this name with a hash added; the name itself if none or several are.

    >>> whole_name("mine", ["mine_1f0c9a2b_v1", "yours_1f0c9a2b_v1"]), whole_name("mi", ["mine_1f0c9a2b_v1"])
    ('mine_1f0c9a2b_v1', 'mi')
    """
    known = list(known)
    hashed = [match[0] for match in map(HASHED_NAME.fullmatch, known) if match is not None and match["name"] == name]
    return hashed[0] if len(hashed) == 1 and name not in known else name


ALLOW_ENV = "SGBENCH_ALLOW_ENV"  # environment variables that files of others may read
ALLOW_HYDRA = "SGBENCH_ALLOW_HYDRA"  # classes that Hydra may instantiate besides installed plugins
ALLOW_TARGET = "SGBENCH_ALLOW_TARGET"  # classes that entries may name in every command


def allowed(*variables: str) -> list[str]:
    """List the names that the user allows in environment variables, where commas separate them.

    These are variables, not a file beside the entries, since a folder from others could contain such a file.
    """
    names = (name.strip() for variable in variables for name in os.environ.get(variable, "").split(","))
    return [name for name in names if name]


def with_own(folders: Iterable[Path]) -> list[Path]:
    """List the given folders of entries, and the user's own (see `own_conf_dir`) if it exists."""
    own = own_conf_dir()
    return [*(Path(folder) for folder in folders), *([own] if own.is_dir() else [])]


def default_runs_dir() -> Path:
    return Path(os.environ.get("SGBENCH_RUNS") or "runs")


def default_data_dir() -> Path:
    return Path(os.environ.get("SGBENCH_DATA") or user_cache())


def default_cache_dir() -> Path:
    return Path(os.environ.get("SGBENCH_CACHE") or user_cache() / "prepared")


def default_cache_gb() -> float:
    """Return how many gigabytes of prepared data are kept: $SGBENCH_CACHE_GB or 50."""
    text = os.environ.get("SGBENCH_CACHE_GB") or "50"
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise InputError(f"SGBENCH_CACHE_GB={text}: a number of gigabytes above 0 is needed")
    return limit


def run_dir(runs_dir: Path, protocol: str, method_id: str, seed: int) -> Path:
    return runs_dir / protocol / method_id / str(seed)


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
