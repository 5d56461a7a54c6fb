"""sgbench: which surrogate gradient, neuron and learning rule, for which task, at what cost.

The names below do in Python what the command does, and more. Importing `sgbench` imports none of them: torch and
the rest are loaded when a name is first used.
"""

from __future__ import annotations

from sgbench.moved import answer_to_former_names
from sgbench.version import __version__

TYPE_CHECKING = False  # type checkers take this name for true; importing typing would take longer than all else
if TYPE_CHECKING:
    from typing import Any

    from sgbench.custom import CustomSurrogate
    from sgbench.diagnosis.modules import diagnose_module
    from sgbench.errors import InputError, NonFiniteError, RunBusyError, SgbenchError, StorageError
    from sgbench.inspection.diagnosed import diagnose
    from sgbench.notebook.browse import list_entries as list
    from sgbench.notebook.browse import show_entry as show
    from sgbench.notebook.records import board, explain, load_records
    from sgbench.notebook.sweep import sweep
    from sgbench.notebook.table import plot
    from sgbench.recommendation.recommend import recommend
    from sgbench.study.judge.judged import judge
    from sgbench.training.creation import create
    from sgbench.training.runner import run
    from sgbench.yours.accelerate import accelerate
    from sgbench.yours.benchmark import benchmark
    from sgbench.yours.calibrate import calibrate
    from sgbench.yours.compare_in import compare_in
    from sgbench.yours.compiled import compile
    from sgbench.yours.energy_of import energy_of
    from sgbench.yours.unroll import unroll
    from sgbench.yours.use import use

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
    "compare_in",
    "compile",
    "create",
    "diagnose",
    "diagnose_module",
    "energy_of",
    "explain",
    "judge",
    "list",
    "load_records",
    "plot",
    "recommend",
    "run",
    "show",
    "sweep",
    "unroll",
    "use",
]
HOMES = {
    "CustomSurrogate": "sgbench.custom",
    **dict.fromkeys(("InputError", "NonFiniteError", "RunBusyError", "SgbenchError", "StorageError"), "sgbench.errors"),
    "accelerate": "sgbench.yours.accelerate",
    "benchmark": "sgbench.yours.benchmark",
    "board": "sgbench.notebook.records",
    "calibrate": "sgbench.yours.calibrate",
    "compare_in": "sgbench.yours.compare_in",
    "compile": "sgbench.yours.compiled",
    "create": "sgbench.training.creation",
    "diagnose": "sgbench.inspection.diagnosed",
    "diagnose_module": "sgbench.diagnosis.modules",
    "energy_of": "sgbench.yours.energy_of",
    "explain": "sgbench.notebook.records",
    "judge": "sgbench.study.judge.judged",
    "list": "sgbench.notebook.browse.list_entries",
    "load_records": "sgbench.notebook.records",
    "plot": "sgbench.notebook.table",
    "recommend": "sgbench.recommendation.recommend",
    "run": "sgbench.training.runner",
    "show": "sgbench.notebook.browse.show_entry",
    "sweep": "sgbench.notebook.sweep",
    "unroll": "sgbench.yours.unroll",
    "use": "sgbench.yours.use",
}
"""Maps each public name to its module; a name that is called otherwise there is added to the module's."""


if not TYPE_CHECKING:  # a type checker sees the imports above, and so reports unknown names

    def __getattr__(name: str) -> Any:
        """Import a public name of the package when it is first used; raise an AttributeError for other names."""
        import importlib

        if name not in HOMES:
            raise AttributeError(f"module 'sgbench' has no attribute '{name}'")
        module, _, attribute = HOMES[name].rpartition(".")
        if name in ("list", "show"):
            return getattr(importlib.import_module(module), attribute)
        return getattr(importlib.import_module(HOMES[name]), name)


def __dir__() -> list[str]:  # type: ignore[valid-type]
    """Return all public names, including those that are not imported yet."""
    return sorted(__all__)


answer_to_former_names()
