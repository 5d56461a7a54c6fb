"""What type checkers and editors see; `HOMES` in `__init__.py` loads the same names when they are first used."""

from sgbench import callbacks as callbacks
from sgbench import metrics as metrics
from sgbench.diagnosis.modules import diagnose_module
from sgbench.errors import InputError, NonFiniteError, RunBusyError, SgbenchError, StorageError
from sgbench.leaderboard.api import board, explain, load_records
from sgbench.recommendation.recommend import recommend
from sgbench.study_runner.judge.judged import judge
from sgbench.sweeps.api import sweep
from sgbench.training.creation import create
from sgbench.training.data_module import data
from sgbench.training.diagnose import diagnose
from sgbench.training.entries import list_entries as list
from sgbench.training.entries import show_entry as show
from sgbench.training.runner import run
from sgbench.training.stored_run import plot
from sgbench.version import __version__
from sgbench.yours.accelerate import accelerate
from sgbench.yours.benchmark import benchmark
from sgbench.yours.calibrate import calibrate
from sgbench.yours.compare_in import compare_in
from sgbench.yours.compiled import compile
from sgbench.yours.custom import CustomSurrogate
from sgbench.yours.energy_of import energy_of
from sgbench.yours.unroll import unroll
from sgbench.yours.use import use

HOMES: dict[str, str]

__all__ = [
    "CustomSurrogate",
    "InputError",
    "NonFiniteError",
    "RunBusyError",
    "SgbenchError",
    "StorageError",
    "__version__",
    "accelerate",
    "benchmark",
    "board",
    "calibrate",
    "callbacks",
    "compare_in",
    "compile",
    "create",
    "data",
    "diagnose",
    "diagnose_module",
    "energy_of",
    "explain",
    "judge",
    "list",
    "load_records",
    "metrics",
    "plot",
    "recommend",
    "run",
    "show",
    "sweep",
    "unroll",
    "use",
]
