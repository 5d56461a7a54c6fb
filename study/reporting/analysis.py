"""What a study's analysis does for a command: one function of one module beside the study's records."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import study
from sgbench.errors import InputError
from sgbench.study_runner.definition import Loaded

STUDIES = "study"
"""Folder of a checkout with one folder a study."""
FUNCTIONS = {"report": "make_report", "measure": "measure_study", "plan": "plan"}
"""By command, which is also the name of the module in `study/NAME/analysis`, the function that it calls."""


def function_of(loaded: Loaded, command: str, *, otherwise: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Find the function of a command in a study's own analysis, or in that of the study it extends."""
    for name in (loaded.name, loaded.study.extends):
        path = Path(str(name), "analysis", f"{command}.py")
        if name is None or not any((Path(place) / path).is_file() for place in study.__path__):
            continue
        found = getattr(importlib.import_module(f"{STUDIES}.{name}.analysis.{command}"), FUNCTIONS[command], None)
        if not callable(found):
            raise InputError(f"{STUDIES}/{path}: has no function {FUNCTIONS[command]}")
        return found
    if otherwise is None:
        raise InputError(f"study {loaded.name}: there is no {STUDIES}/{loaded.name}/analysis/{command}.py")
    return otherwise
