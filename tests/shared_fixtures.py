"""Fixtures shared by all floors, and what makes thousands of tests quick and alike each time."""

import gc
import inspect
import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from _pytest.doctest import DoctestModule

from tests import kept_merges
from tests.budget import Ledger, Report
from tests.thinned import has_example, left_out

# Before torch is loaded: two threads on small tensors are slower, and much slower beside a busy neighbour.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Loops of the generated engine take seconds to compile; tests/fastspiking has it run what it has written.
os.environ["SGBENCH_LOOPS"] = "off"

# A default run never fails by chance: the same examples each time, and no limit in seconds. make test-slow seeks.
hypothesis.settings.register_profile("same each time", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", deadline=None, print_blob=True)
hypothesis.settings.load_profile("same each time")

NUMBERS = itertools.count()


# --- once a process


def pytest_configure(config: pytest.Config) -> None:
    """Count trained networks and started processes, and compare where the default run's markers are chosen."""
    gc.set_threshold(100_000, 20, 20)  # a walk through all modules and tests at every 700th object is slow
    ledger = Ledger()
    config.pluginmanager.register(ledger, "sgbench-ledger")
    kept_merges.install()
    if not hasattr(config, "workerinput"):
        kept_merges.forget_older()
        config.pluginmanager.register(Report(ledger, config), "sgbench-budget")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Iterator[None]:
    """Look for examples where a file has one: to find none, pytest imports a module and walks all it holds."""
    found = yield
    return [each for each in found if not isinstance(each, DoctestModule) or has_example(file_path)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before expressions of markers choose: cases that `one_in` leaves out are slow, unless asked for by name."""
    if config.option.keyword or any("::" in word for word in config.args):
        return
    for item in left_out(items):
        item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Modules and tests stay: the collector need not look at them again."""
    if session.config.option.collectonly or not session.items:
        return
    gc.collect()
    gc.freeze()


# --- fixtures


@pytest.fixture
def every_merge_is_hydras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test counts Hydra's merges, none is remembered."""
    from sgbench.composition import compose

    monkeypatch.setattr(compose, "merge", inspect.unwrap(compose.merge))


@pytest.fixture
def loops_in_python(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`auto` takes the generated engine, whose loops run as the Python that they are written in."""
    from tests.search_engines import loops

    monkeypatch.setenv("SGBENCH_LOOPS", "off")  # it is undone after the loops are: what a test sets ends here
    with loops.loops_in_python():
        yield


@pytest.fixture(scope="session")
def all_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which each test's runs have one."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(autouse=True)
def heard() -> None:
    """Warnings of the package are heard, whatever Hydra has switched off for a command in an earlier test."""
    root = logging.getLogger()
    for name in ("fastspiking", "sgbench"):
        log = logging.getLogger(name)
        log.disabled, log.propagate = False, True
        log.setLevel(logging.NOTSET)
    root.setLevel(logging.WARNING)
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def runs_dir(request: pytest.FixtureRequest, all_runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test writes its runs into a folder of its own, which is made where a run is."""
    assert os.environ["SGBENCH_LOOPS"] == "off", "an earlier test has left the loops of the generated engine on"
    own = "tmp_path" in request.fixturenames
    folder = request.getfixturevalue("tmp_path") / "runs" if own else all_runs / str(next(NUMBERS))
    monkeypatch.setenv("SGBENCH_RUNS", str(folder))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    return folder


@pytest.fixture
def no_snntorch_neurons_left() -> Iterator[None]:
    """snnTorch keeps every neuron of the process in a list; give it back as it was."""
    import snntorch as snn

    before = list(snn.SpikingNeuron.instances)
    yield
    snn.SpikingNeuron.instances[:] = before
