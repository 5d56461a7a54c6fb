"""What a command does not load until it is used, and that it is the real thing then."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sgbench.training import late_modules
from sgbench.training.late_modules import Late, Plan
from tests.run.tiny import WORDS

UNUSED = (
    "joblib",
    "matplotlib",
    "pycparser.c_parser",
    "scipy.linalg.blas",
    "scipy.signal",
    "scipy.sparse",
    "scipy.stats",
    "sklearn",
    "sympy",
    "torch._dynamo.eval_frame",
    "torch._inductor",
    "torch.distributed.fsdp",
    "torch.distributions.normal",
    "torch.export.exported_program",
    "torch.quantization.observer",
    "torchmetrics.classification",
)
"""What a run of digits never calls, each loaded by torch, Lightning, numba or scikit-learn by themselves."""
RUN = f"""
import sys
sys.argv = ["sgbench", "run", *{WORDS!r}]
from sgbench.__main__ import command
assert command() == 0
loaded = [name for name in {UNUSED!r} if name in sys.modules]
assert not loaded, loaded
assert "pytorch_lightning" in sys.modules
"""
USE = """
import torch
from pytorch_lightning.trainer.connectors.logger_connector.result import _ResultMetric
from pytorch_lightning.utilities.compile import OptimizedModule, to_uncompiled

plain = torch.nn.Linear(1, 1)
assert not isinstance(plain, OptimizedModule)
compiled = torch.compile(plain)
assert isinstance(compiled, OptimizedModule) and not isinstance(plain, OptimizedModule)
assert type(compiled) is sys.modules["torch._dynamo"].OptimizedModule

@torch.compile(backend="eager")
def doubled(x):
    torch._dynamo.graph_break()
    return 2 * x

assert doubled(torch.ones(1)).item() == 2
weight = torch.nn.Parameter(torch.ones(1))
optimizer = torch.optim.SGD([weight], lr=0.5)
weight.grad = torch.ones(1)
optimizer.step()
assert weight.item() == 0.5

import torchmetrics
assert issubclass(_ResultMetric, torchmetrics.Metric)
accuracy = torchmetrics.classification.MulticlassAccuracy(3, average="micro")
assert isinstance(accuracy, torchmetrics.Metric) and torchmetrics.Accuracy is not None
assert accuracy(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1])).item() == torch.tensor(2 / 3).item()
import matplotlib
matplotlib.use("agg")
figure, _ = accuracy.plot()
assert isinstance(figure, matplotlib.figure.Figure)

from math import log, pi, sqrt
import cffi, numba, numpy as np, scipy.linalg
from torch.export import *
normal = torch.distributions.Normal(torch.tensor(0.0), torch.tensor(1.0))
assert abs(normal.log_prob(torch.tensor(1.0)).item() + 0.5 + log(sqrt(2 * pi))) < 1e-6
assert torch.distributions.kl_divergence(normal, normal).item() == 0
exported = export(plain, (torch.ones(1, 1),))
assert isinstance(exported, torch.export.ExportedProgram) and isinstance(exported, ExportedProgram)
assert torch.equal(exported.module()(torch.ones(1, 1)), plain(torch.ones(1, 1)))
assert torch.hub.get_dir() and torch.quantization.default_observer().dtype is torch.quint8
assert torch.nn.intrinsic.ConvReLU2d is torch.ao.nn.intrinsic.ConvReLU2d
square = np.array([[2.0, 1.0], [0.0, 4.0]])
assert np.allclose(scipy.linalg.expm(np.zeros((2, 2))), np.eye(2))
assert np.allclose(numba.njit(lambda a, b: np.linalg.solve(a, a @ b))(square, square), square)
foreign = cffi.FFI()
foreign.cdef("struct pair { int first; char second[4]; };")
assert foreign.sizeof("struct pair") == 8
"""


def done(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A new process that runs this."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder
    )


@pytest.mark.slow
def test_a_run_loads_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    """By name, after a whole training in a process of its own."""
    found = done(RUN, tmp_path)
    assert found.returncode == 0, found.stderr


@pytest.mark.slow
def test_what_is_used_after_a_run_is_the_real_thing(tmp_path: Path) -> None:
    """The compiler and the metrics work, and Lightning's classes are those of the packages."""
    found = done(RUN + USE, tmp_path)
    assert found.returncode == 0, found.stderr


# --- the mechanism, on packages that are made here


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that counts how often its file is run, with a part that needs that and one that does not."""
    name = "late_example"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import builtins\nfrom late_example.apart import BASE\n"
        "from late_example import inner\nvalue = BASE + 1\nruns = globals().get('runs', 0) + 1\n"
    )
    (folder / "apart.py").write_text("BASE = 41\n")
    (folder / "inner.py").write_text("from late_example.apart import BASE\nloaded = [BASE]\n")
    (folder / "needs.py").write_text("from late_example import value\ndoubled = 2 * value\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setitem(
        late_modules.PLANS,
        name,
        Plan({"light": lambda: "light", "__version__": lambda: "1"}, (f"{name}.apart",)),
    )
    late_modules.install()
    yield name
    for module in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
        del sys.modules[module]


def test_only_what_is_not_planned_runs_the_file(package: str) -> None:
    """Planned names and hasattr of others' dunders leave it alone; the first other name runs it, once, in place."""
    module = importlib.import_module(package)
    assert isinstance(module, Late)
    assert (module.light, module.__version__) == ("light", "1")
    assert not hasattr(module, "__wrapped__")
    assert module.__file__ is not None
    assert importlib.import_module(f"{package}.apart").BASE == 41
    assert isinstance(sys.modules[package], Late)
    assert module.value == 42
    assert sys.modules[package] is module
    assert type(module) is ModuleType
    assert module.runs == 1
    with pytest.raises(AttributeError, match="nothing"):
        _ = module.nothing
    assert module.runs == 1


@pytest.mark.parametrize("part", ["inner", "needs"])
def test_a_part_runs_its_package_first(package: str, part: str) -> None:
    """One that the package's file loads itself is loaded once; another one after it."""
    module = importlib.import_module(package)
    found = importlib.import_module(f"{package}.{part}")
    assert type(module) is ModuleType
    assert module.runs == 1
    assert found is sys.modules[f"{package}.{part}"]
    assert found is getattr(module, part)
    assert found.__spec__.name == f"{package}.{part}"
    assert found.__spec__.origin == found.__file__
    if part == "inner":
        assert found.loaded == [41]
    else:
        assert found.doubled == 84


def test_what_is_loaded_already_stays(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that somebody has loaded is not taken back; installing twice is installing once."""
    monkeypatch.setattr(
        sys, "meta_path", [one for one in sys.meta_path if not isinstance(one, late_modules.Finder)]
    )
    module = importlib.import_module(package)
    late_modules.install()
    late_modules.install()
    assert sum(isinstance(one, late_modules.Finder) for one in sys.meta_path) == 1
    assert importlib.import_module(package) is module
    assert module.value == 42


def test_a_file_that_fails_says_so(package: str, tmp_path: Path) -> None:
    """The error is that of the file, at every use until it can be run."""
    (tmp_path / package / "__init__.py").write_text("raise ImportError('no library here')\n")
    module = importlib.import_module(package)
    assert module.light == "light"
    for _ in range(2):
        with pytest.raises(ImportError, match="no library here"):
            _ = module.value
    (tmp_path / package / "__init__.py").write_text("value = 42  # now there is one\n")
    importlib.invalidate_caches()
    assert module.value == 42


def test_the_compiler_is_asked_from_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, a function runs as it is and nothing is compiled; after, the compiler has the word."""
    stand_in = Late("torch._dynamo")
    monkeypatch.setitem(sys.modules, "torch._dynamo", stand_in)
    function = stand_in.disable(lambda x: x + 1)
    assert function(1) == 2
    assert stand_in.disable(recursive=False)(lambda x: x + 2)(1) == 3
    assert stand_in.graph_break() is None
    assert not isinstance(function, stand_in.OptimizedModule)
    kind = stand_in.OptimizedModule
    real = ModuleType("torch._dynamo")
    real.OptimizedModule = Plan  # type: ignore[attr-defined]
    real.disable = lambda fn, *_, **__: lambda x: 10 * fn(x)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch._dynamo", real)
    assert function(1) == 20
    assert isinstance(Plan({}), kind)
    assert not isinstance(function, kind)
