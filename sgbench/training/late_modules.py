"""Postponed loading of modules that Lightning and torch's optimisers import but a run never uses.

They take half of a short run's processor time (docs/adr/0022-modules-on-demand.md). A postponed module is in
`sys.modules` as usual, with its name and path; its file is executed on first use. `install` postpones the modules
of `PLANS` in this process, unless they are loaded already.
"""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

LOCK = threading.RLock()
DEFINED_DUNDERS = ("__all__", "__version__")
"""Names between double underscores that a module's file defines; the import system looks up the others."""


@dataclass(frozen=True)
class Plan:
    """Describes what can be used of a postponed module before its file is executed.

    Args:
        answers: maps an attribute's name to a function that returns its value.
        apart: modules of the package that can be imported before it; importing any other executes its file first.
    """

    answers: Mapping[str, Callable[[], Any]]
    apart: Sequence[str] = field(default=())


class Late(ModuleType):
    """Stands for a module whose file has not been executed."""

    def __getattr__(self, name: str) -> Any:
        """Return an attribute from the module's plan, or execute its file and return the attribute's value."""
        plan = PLANS[self.__name__]
        if name in plan.answers:
            return plan.answers[name]()
        if name.startswith("__") and name.endswith("__") and name not in DEFINED_DUNDERS:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        run_now(self)
        return getattr(self, name)


def run_now(module: ModuleType) -> None:
    """Run a postponed module's file in place; do nothing if it was executed already."""
    with LOCK:
        if not isinstance(module, Late):
            return
        spec = module.__spec__
        if spec is None or spec.loader is None:
            raise ImportError(f"{module.__name__} was postponed and has no loader", name=module.__name__)
        module.__class__ = ModuleType  # type: ignore[assignment]
        try:
            spec.loader.exec_module(module)
        except BaseException:
            module.__class__ = Late  # so that the next use tries again
            raise


class LateLoader:
    """Creates a `Late` module that keeps its own spec and loader; its file is executed later."""

    def __init__(self, spec: ModuleSpec) -> None:
        self.own = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Create an empty `Late` module."""
        return Late(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Restore the module's own spec and loader, without executing its file."""
        module.__spec__ = self.own
        module.__loader__ = self.own.loader
        module.__file__ = self.own.origin


class PresentLoader:
    """Loads a module that is in `sys.modules` already, since executing its package's file has imported it."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.own = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the module's own spec, which the import system has replaced."""
        module.__spec__ = self.own


class Finder:
    """Finds the modules of `PLANS`, and executes a postponed package's file before modules that need it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module to postpone, or of one that is loaded already; None leaves it to others."""
        if fullname in PLANS:
            return _late_spec(PathFinder.find_spec(fullname, path, target))
        name = fullname
        while name := name.rpartition(".")[0]:  # the packages around it
            package = sys.modules.get(name)
            if isinstance(package, Late) and not _lies_in(fullname, *PLANS[name].apart):
                run_now(package)
                module = sys.modules.get(fullname)
                return None if module is None else _spec(fullname, PresentLoader(module))
        return None


def _lies_in(name: str, *packages: str) -> bool:
    """Return whether a module is one of these packages, or within one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _spec(name: str, loader: Any, origin: str | None = None) -> ModuleSpec | None:
    """Return a module's spec with a loader that need not be a subclass of importlib's."""
    return spec_from_loader(name, loader, origin=origin)


def _late_spec(own: ModuleSpec | None) -> ModuleSpec | None:
    """Return a spec that loads a module as `Late`, from its own spec; None if it cannot be loaded."""
    if own is None or own.loader is None:
        return None
    spec = _spec(own.name, LateLoader(own), origin=own.origin)
    if spec is not None:
        spec.submodule_search_locations = own.submodule_search_locations
    return spec


def install() -> None:
    """Register a finder that postpones the modules of `PLANS` in this process, unless they are loaded already."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())


# --- torch's compiler, which has no effect before it is loaded


def _is_loaded(name: str) -> bool:
    """Return whether a module's file has been executed."""
    return not isinstance(sys.modules.get(name), Late | None)


class _Compiled(type):
    """Answers `isinstance(network, OptimizedModule)` without loading torch's compiler."""

    def __instancecheck__(cls, instance: object) -> bool:
        """Return whether an object is a network compiled by torch; none is before the compiler is loaded."""
        dynamo = sys.modules.get("torch._dynamo")
        return _is_loaded("torch._dynamo") and isinstance(instance, dynamo.OptimizedModule)  # type: ignore[union-attr]


class OptimizedModule(metaclass=_Compiled):
    """Stands for the compiler's class where Lightning asks whether a network is compiled."""


def _disable(fn: Callable[..., Any] | None = None, recursive: bool = True, **named: Any) -> Any:
    """Wrap a function so that the compiler skips it, from the time on when the compiler is loaded."""
    if fn is None:
        return lambda function: _disable(function, recursive, **named)
    wrapped: list[Callable[..., Any]] = []  # by the compiler itself, at the first call after it was loaded

    @functools.wraps(fn)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not wrapped and _is_loaded("torch._dynamo"):
            wrapped.append(sys.modules["torch._dynamo"].disable(fn, recursive, **named))
        return (wrapped[0] if wrapped else fn)(*args, **kwargs)

    return called


def _graph_break(msg: str = "") -> None:
    """Do nothing; in the compiler this splits a compiled function in two."""


# --- torchmetrics, one class of which holds Lightning's results


def _attribute_getter(module: str, name: str) -> Callable[[], Any]:
    """Return a function that imports an attribute from a module of torchmetrics."""

    def import_attribute() -> Any:
        importlib.import_module("torchmetrics.utilities")  # first, as in the package's own file
        return getattr(importlib.import_module(module), name)

    return import_attribute


def _logger() -> Any:
    """Return the logger of torchmetrics."""
    import logging

    return logging.getLogger("torchmetrics")


def _drawing_stand_in(name: str) -> Callable[[], Any]:
    """Return a function that returns a stand-in for a drawing function; a call of that loads its module."""

    def draw(*args: Any, **kwargs: Any) -> Any:
        module = sys.modules["torchmetrics.utilities.plot"]
        run_now(module)
        return getattr(module, name)(*args, **kwargs)

    return lambda: draw


PLANS = {
    "torch._dynamo": Plan(
        {
            "OptimizedModule": lambda: OptimizedModule,
            "disable": lambda: _disable,
            "graph_break": lambda: _graph_break,
        }
    ),
    "torch.distributions": Plan({}),
    "torch.export": Plan({}),
    "torch.hub": Plan({}),
    "torch.nn.intrinsic": Plan({}),
    "torch.quantization": Plan({}),
    "scipy.linalg": Plan({}, apart=("scipy.linalg.cython_blas",)),
    "pycparser": Plan({}),
    "torchmetrics": Plan(
        {
            "Metric": _attribute_getter("torchmetrics.metric", "Metric"),
            "MetricCollection": _attribute_getter("torchmetrics.collections", "MetricCollection"),
            "__version__": _attribute_getter("torchmetrics.__about__", "__version__"),
            "_logger": _logger,
        },
        apart=(
            "torchmetrics.__about__",
            "torchmetrics.collections",
            "torchmetrics.metric",
            "torchmetrics.utilities",
        ),
    ),
    "torchmetrics.utilities.plot": Plan(
        {
            "_AX_TYPE": lambda: object,
            "_PLOT_OUT_TYPE": lambda: object,
            "plot_confusion_matrix": _drawing_stand_in("plot_confusion_matrix"),
            "plot_curve": _drawing_stand_in("plot_curve"),
            "plot_single_or_multi_val": _drawing_stand_in("plot_single_or_multi_val"),
        }
    ),
}
"""Maps postponed modules to the names that Lightning 2.6, torch 2.13 and torchmetrics 1.9 use of them at import."""
