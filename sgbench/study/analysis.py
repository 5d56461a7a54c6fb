"""Find and load the analysis of a study: Python beside its records, in the checkout of a command and nowhere else.

Code is run from `study/NAME/analysis` of one checkout, where NAME is a study that the command names or that its
study extends. Neither a store, nor a folder of entries, nor a file of a study can lead to other code:
`analysis.yaml` names functions of that folder alone, and nothing on the way may be a link.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import yaml
from pydantic import StringConstraints, ValidationError

from sgbench.errors import InputError
from sgbench.records.base import Strict
from sgbench.records.files import first_problem, read_bytes
from sgbench.study.definition import Loaded

STUDIES = "study"
"""Folder of a checkout with one folder a study."""
PACKAGE, FILE = "analysis", "analysis.yaml"
"""Code of a study, and the file beside it that names its functions."""
MAX_BYTES = 4096
FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*:[a-z][a-z0-9_]*$", max_length=100)]
Command = Literal["report", "measure", "plan"]


class AnalysisFile(Strict):
    """Names what commands call of a study's analysis, each as `module:function`."""

    report: FunctionName
    measure: FunctionName | None = None
    plan: FunctionName | None = None


@dataclass(frozen=True)
class Analysis:
    """Holds where a study's analysis lies and which functions it has."""

    name: str
    folder: Path  # of the checkout, with `analysis.yaml` and `analysis/`
    functions: AnalysisFile  # by command

    def function(self, command: Command) -> Callable[..., Any]:
        """Import the function that a command calls.

        Raises:
            InputError: the analysis has no such function.
        """
        wanted: str | None = getattr(self.functions, command)
        if wanted is None:
            raise InputError(f"{self.folder / FILE}: names nothing for sgbench study {command}")
        module, name = wanted.split(":")
        if not (self.folder / PACKAGE / f"{module}.py").is_file():
            raise InputError(f"{self.folder / FILE}: {command} is {wanted}, and {PACKAGE} has no {module}.py")
        found = getattr(importlib.import_module(f"{self._package()}.{module}"), name, None)
        if not callable(found):
            raise InputError(f"{self.folder / FILE}: {command} is {wanted}, and {module}.py has no {name}")
        return found

    def _package(self) -> str:
        """Import the package `study.NAME.analysis` from its folder; return its name."""
        name, init = f"{STUDIES}.{self.name}.{PACKAGE}", self.folder / PACKAGE / "__init__.py"
        known = sys.modules.get(name)
        if known is None or Path(known.__file__ or "").resolve() != init:
            for loaded in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
                del sys.modules[loaded]  # of another checkout
            sys.modules[name] = _executed(name, init)
        return name


def _executed(name: str, init: Path) -> ModuleType:
    """Run a package's `__init__.py`, so that its modules can be imported by the package's name."""
    spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(init.parent)])
    if spec is None or spec.loader is None:
        raise InputError(f"{init}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def find_analysis(loaded: Loaded, root: Path | None) -> Analysis | None:
    """Find the analysis of a study, or of the one that it extends; None where the checkout has none.

    Args:
        loaded: the study.
        root: of the checkout; None: there is none.

    Raises:
        InputError: its file is damaged, or something of it is a link.
    """
    if root is None:
        return None
    for name in (loaded.name, loaded.study.extends):
        folder = root.resolve() / STUDIES / str(name)
        if name is not None and (folder / FILE).exists():
            _require_plain(folder)
            return Analysis(name, folder, read_functions(folder / FILE))
    return None


def _require_plain(folder: Path) -> None:
    """Refuse an analysis that is not, or not wholly, in the folder of its study."""
    for path in (folder / FILE, folder / PACKAGE / "__init__.py"):
        if not path.is_file():
            raise InputError(
                f"{path}: is missing; an analysis is a package with a file that names its functions"
            )
    for path in (folder / FILE, *(folder / PACKAGE).rglob("*")):
        if path.resolve() != path:
            raise InputError(f"{path}: is or lies behind a link; code of a study lies in its own folder")


def read_functions(path: Path) -> AnalysisFile:
    """Read which functions an analysis has.

    Raises:
        InputError: the file is not usable; one line.
    """
    try:
        return AnalysisFile.model_validate(yaml.safe_load(read_bytes(path, limit=MAX_BYTES)))
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: no readable YAML") from error
