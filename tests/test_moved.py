"""Modules answer to the names that they had before they moved, and are the same objects."""

from __future__ import annotations

import importlib
import sys

import pytest

import fastspiking.choose
import fastspiking.signals.spikes
from sgbench.moved import MOVED


@pytest.fixture
def forgotten() -> None:
    """No former name was imported yet."""
    for name in [*sys.modules]:
        if any(name == former or name.startswith(f"{former}.") for former in MOVED):
            del sys.modules[name]


@pytest.mark.usefixtures("forgotten")
def test_a_former_name_is_the_same_module() -> None:
    """Must match: module, class and spec; the name that goes is told."""
    with pytest.warns(DeprecationWarning, match="sgbench.engine.* is now fastspiking"):
        former = importlib.import_module("sgbench.engine.choose")
    assert former is fastspiking.choose
    assert former.__spec__ is not None
    assert former.__spec__.name == "fastspiking.choose"
    with pytest.warns(DeprecationWarning, match="sgbench.signals.* is now fastspiking"):
        assert importlib.import_module("sgbench.signals.spikes") is fastspiking.signals.spikes
    with pytest.warns(DeprecationWarning, match="sgbench.signals.spike_trains is now fastspiking.signals.spikes"):
        assert importlib.import_module("sgbench.signals.spike_trains") is fastspiking.signals.spikes


@pytest.mark.usefixtures("forgotten")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_former_name_answers() -> None:
    """Must match: each module is the one of today, also those of packages that were divided."""
    for former, now in MOVED.items():
        module = importlib.import_module(former)
        assert module is importlib.import_module(now or former)


@pytest.mark.usefixtures("forgotten")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_never_was_is_not_found() -> None:
    """Must differ: a module that no release had, and one that only begins like a package that moved."""
    for name in ("sgbench.engine.nothing", "sgbench.engines", "sgbench.inspection.nothing"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)
