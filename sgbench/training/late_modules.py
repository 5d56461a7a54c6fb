"""Postpones modules that Lightning and torch's optimisers name at their start and no run calls.

They cost a short run half of its processor time (docs/adr/0022-modules-on-demand.md). A postponed module lies in
`sys.modules` as always, with its own name and path; its file is run, in place, by the first use of it. Only what
`install` was asked for in this process is postponed, and only where it has not been loaded yet.
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
TELLING = ("__all__", "__version__")
"""Names between underscores that a module's file says; import itself and `hasattr` look for the others."""


@dataclass(frozen=True)
class Plan:
    """Says which names of a postponed module are known before it is run.

    Args:
        answers: what is said for a name without running the module's file, made at each question.
        apart: modules of the package that do without the package's own file; any other one runs that first.
    """

    answers: Mapping[str, Callable[[], Any]]
    apart: Sequence[str] = field(default=())


class Late(ModuleType):
    """Stands for a module whose file has not been run."""

    def __getattr__(self, name: str) -> Any:
        """Answer an attribute from the plan, or run the module's file and ask again."""
        plan = PLANS[self.__name__]
        if name in plan.answers:
            return plan.answers[name]()
        if name.startswith("__") and name.endswith("__") and name not in TELLING:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        run_now(self)
        return getattr(self, name)


def run_now(module: ModuleType) -> None:
    """Run a postponed module's file in place; do nothing if it has run already."""
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
            module.__class__ = Late  # the next use tries again
            raise


class Postponing:
    """Makes a `Late` module, which keeps the loader that it would have had."""

    def __init__(self, spec: ModuleSpec) -> None:
        self.own = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Create an empty module that will be loaded late."""
        return Late(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module's file runs later."""
        module.__spec__ = self.own
        module.__loader__ = self.own.loader
        module.__file__ = self.own.origin


class Present:
    """Hands out a module that running its package's file has brought along."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.own = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module that is loaded already."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the module's own spec, which import has replaced."""
        module.__spec__ = self.own


class Finder:
    """Finds the modules of `PLANS`, and runs a package's file before a module of it that needs that."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the spec of a module to postpone or one already loaded; None leaves it to the other finders."""
        if fullname in PLANS:
            return _postponed(PathFinder.find_spec(fullname, path, target))
        for name, plan in PLANS.items():
            package = sys.modules.get(name)
            if isinstance(package, Late) and _lies_in(fullname, name) and not _lies_in(fullname, *plan.apart):
                run_now(package)
                module = sys.modules.get(fullname)
                return None if module is None else _spec(fullname, Present(module))
        return None


def _lies_in(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _postponed(own: ModuleSpec | None) -> ModuleSpec | None:
    if own is None or own.loader is None:
        return None
    spec = _spec(own.name, Postponing(own), origin=own.origin)
    if spec is not None:
        spec.submodule_search_locations = own.submodule_search_locations
    return spec


def _spec(name: str, loader: Any, origin: str | None = None) -> ModuleSpec | None:
    return spec_from_loader(name, loader, origin=origin)


def install() -> None:
    """Delay the modules of `PLANS` in this process until they are used; those already loaded stay as they are."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())


# --- torch's compiler: it can only have something to do once somebody has loaded it


def _is_running(name: str) -> bool:
    return not isinstance(sys.modules.get(name), Late | None)


class _Compiled(type):
    def __instancecheck__(cls, instance: object) -> bool:
        """Return whether an object is a network compiled by torch; none is before the compiler is loaded."""
        dynamo = sys.modules.get("torch._dynamo")
        return _is_running("torch._dynamo") and isinstance(instance, dynamo.OptimizedModule)  # type: ignore[union-attr]


class OptimizedModule(metaclass=_Compiled):
    """Stands for the compiler's class where Lightning asks whether a network is compiled."""


def _disable(fn: Callable[..., Any] | None = None, recursive: bool = True, **named: Any) -> Any:
    """Wrap a function so that the compiler skips it, which is asked of the compiler once it is loaded."""
    if fn is None:
        return lambda function: _disable(function, recursive, **named)
    asked: list[Callable[..., Any]] = []

    @functools.wraps(fn)
    def called(*given: Any, **by_name: Any) -> Any:
        if not asked and _is_running("torch._dynamo"):
            asked.append(sys.modules["torch._dynamo"].disable(fn, recursive, **named))
        return (asked[0] if asked else fn)(*given, **by_name)

    return called


def _graph_break(msg: str = "") -> None:
    """Mark where a compiled function is split in two; outside of the compiler it has no effect."""


# --- torchmetrics: Lightning's results are kept in one class of it


def _of(module: str, name: str) -> Callable[[], Any]:
    """Return an attribute of a module of the package."""

    def found() -> Any:
        importlib.import_module("torchmetrics.utilities")  # first, as in the package's own file
        return getattr(importlib.import_module(module), name)

    return found


def _logger() -> Any:
    import logging

    return logging.getLogger("torchmetrics")


def _stand_in(name: str) -> Callable[[], Any]:
    """Return a stand-in for a drawing function, which loads matplotlib and then draws as that function does."""

    def draw(*given: Any, **named: Any) -> Any:
        module = sys.modules["torchmetrics.utilities.plot"]
        run_now(module)
        return getattr(module, name)(*given, **named)

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
            "Metric": _of("torchmetrics.metric", "Metric"),
            "MetricCollection": _of("torchmetrics.collections", "MetricCollection"),
            "__version__": _of("torchmetrics.__about__", "__version__"),
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
            "plot_confusion_matrix": _stand_in("plot_confusion_matrix"),
            "plot_curve": _stand_in("plot_curve"),
            "plot_single_or_multi_val": _stand_in("plot_single_or_multi_val"),
        }
    ),
}
"""What is postponed, with the names that Lightning 2.6, torch 2.13 and torchmetrics 1.9 ask for."""
