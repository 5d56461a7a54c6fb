"""sgbench: which surrogate gradient, neuron and learning rule, for which task, at what cost.

The names below do in Python what the command does, and more. Importing `sgbench` imports none of them: torch and
the rest are loaded when a name is first used.
"""

from sgbench.moved import answer_to_former_names
from sgbench.version import __version__

HOMES = {
    "CustomSurrogate": "sgbench.yours.custom",
    **dict.fromkeys(("InputError", "NonFiniteError", "RunBusyError", "SgbenchError", "StorageError"), "sgbench.errors"),
    "accelerate": "sgbench.yours.accelerate",
    "benchmark": "sgbench.yours.benchmark",
    "board": "sgbench.leaderboard.api",
    "calibrate": "sgbench.yours.calibrate",
    "callbacks": "sgbench.callbacks",
    "compare_in": "sgbench.yours.compare_in",
    "compile": "sgbench.yours.compiled",
    "create": "sgbench.training.creation",
    "data": "sgbench.training.data_module",
    "diagnose": "sgbench.training.diagnose",
    "diagnose_module": "sgbench.diagnosis.modules",
    "energy_of": "sgbench.yours.energy_of",
    "explain": "sgbench.leaderboard.api",
    "judge": "sgbench.study_runner.judge.judged",
    "list": "sgbench.training.entries.list_entries",
    "load_records": "sgbench.leaderboard.api",
    "metrics": "sgbench.metrics",
    "plot": "sgbench.training.stored_run",
    "recommend": "sgbench.recommendation.recommend",
    "run": "sgbench.training.runner",
    "show": "sgbench.training.entries.show_entry",
    "sweep": "sgbench.sweeps.api",
    "unroll": "sgbench.yours.unroll",
    "use": "sgbench.yours.use",
}
"""Maps each public name to its module; a name that is called otherwise there is added to the module's.

Type checkers and editors read `__init__.pyi`.
"""
__all__ = ["__version__", *HOMES]  # noqa: PLE0604 - strings all


def __getattr__(name: str) -> object:
    """Import a public name of the package when it is first used; raise an AttributeError for other names."""
    import importlib

    if name not in HOMES:
        raise AttributeError(f"module 'sgbench' has no attribute '{name}'")
    if HOMES[name] == f"sgbench.{name}":
        return importlib.import_module(HOMES[name])
    module, attribute = HOMES[name], name
    if name in ("list", "show"):  # called list_entries and show_entry there
        module, _, attribute = HOMES[name].rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    """Return all public names, including those that are not imported yet."""
    return sorted(__all__)


answer_to_former_names()
