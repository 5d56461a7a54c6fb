"""Answers to modules by the names that they had before they moved, for one release."""

import sys
from importlib.machinery import ModuleSpec

MOVED = {
    "sgbench.dropouts.mask": "sgbench.dropouts.base",
    "sgbench.engine": "fastspiking",
    "sgbench.leaderboard.registry": "sgbench.leaderboard.shipped",
    "sgbench.neurons.takeoff": "sgbench.neurons.base",
    "sgbench.records.formula": "fastspiking.formula",
    "sgbench.signals": "fastspiking.signals",
    "sgbench.study": "sgbench.study_runner",
    "sgbench.surrogates.drawn": "fastspiking.drawn",
}
"""Maps former names of modules, and of packages with all that is in them, to those of today."""


class MovedModules:
    """Imports a module that moved under its former name: the same object, with a DeprecationWarning."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        """Return a spec for a former name; None leaves all others to Python."""
        return None if today(name) is None else ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make an empty module, which `exec_module` replaces."""

    def exec_module(self, module: object) -> None:
        """Put the module of today in the place of the one that Python has made."""
        import importlib
        import warnings

        former: str = module.__name__  # type: ignore[attr-defined]
        name = today(former)
        if name is not None:
            warnings.warn(f"{former} is now {name}; its former name goes", DeprecationWarning, stacklevel=2)
            sys.modules[former] = importlib.import_module(name)


def today(name: str) -> str | None:
    """Return where a module is now; None if it did not move.

    >>> today("sgbench.engine.kernels.forward"), today("sgbench.signals"), today("sgbench.records")
    ('fastspiking.kernels.forward', 'fastspiking.signals', None)
    """
    for former, now in MOVED.items() if name.startswith("sgbench.") else ():
        if name == former or name.startswith(f"{former}."):
            return now + name.removeprefix(former)
    return None


def answer_to_former_names() -> None:
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedModules())  # type: ignore[arg-type]
