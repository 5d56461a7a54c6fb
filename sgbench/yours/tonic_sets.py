"""Data sets of tonic, by their names there; the one file that imports it, and only when it is asked for."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sgbench.errors import InputError, suggest

LICENCE = "tonic is GPL-3.0-only, unlike sgbench: who passes both on together follows the GPL for the whole"


def parts_of_tonic(name: str, save_to: Path) -> tuple[Any, Any | None]:
    """Open a data set of tonic, which it fetches where it is not there.

    Args:
        name: of the class, e.g. "SHD" or "NMNIST".
        save_to: folder of the files.

    Returns:
        The training part and the test part, or all of it and None where tonic does not divide it.

    Raises:
        InputError: tonic is not installed, has no such data set, or cannot fetch it; one line.
    """
    try:
        known = vars(importlib.import_module("tonic.datasets"))
    except ImportError as error:
        raise InputError(f"tonic is not installed: pip install 'sgbench[tonic]' ({LICENCE})") from error
    classes: dict[str, Callable[..., Any]] = {
        key: each for key, each in known.items() if inspect.isclass(each) and hasattr(each, "sensor_size")
    }
    if name not in classes:
        raise InputError(f"tonic has no data set '{name}'; {suggest(name, classes)}")
    divided = "train" in inspect.signature(classes[name]).parameters
    try:
        if not divided:
            return classes[name](save_to=str(save_to)), None
        train, test = (classes[name](save_to=str(save_to), train=train) for train in (True, False))
    except Exception as error:  # of the network, of files, of its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"tonic's {name} cannot be opened below {save_to}: {reason}") from error
    return train, test
