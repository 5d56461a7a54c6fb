"""What a run loads, and that an optimiser which leaves torch's compiler alone gives torch's own numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sgbench.training.build import leave_uncompiled, step_uncompiled
from tests.composition.test_hydra_internals import imported
from tests.rooms import ROOT
from tests.run.tiny import WORDS

UNUSED = ("matplotlib", "pytorch_lightning", "sklearn", "sympy", "torch._dynamo", "torch._inductor", "torchmetrics")
RUN = f"""
import sys
sys.argv = ["sgbench", "run", *{WORDS!r}, "logger=[csv,tensorboard]"]
from sgbench.__main__ import command
assert command() == 0
loaded = [name for name in {UNUSED!r} if name in sys.modules]
assert not loaded, loaded
"""


@pytest.mark.slow
def test_a_run_loads_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    """By name, after a whole training in a process of its own."""
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_lightning_is_imported_where_it_is_asked_for() -> None:
    """Expected: the files behind trainer=lightning, callbacks, and `sgbench.data`; no logger is among them."""
    files = [*(ROOT / "sgbench").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")]
    importing = {
        path.relative_to(ROOT / "sgbench").as_posix()
        for path in files
        if "lightning" in path.read_text()
        and any(name.startswith(("pytorch_lightning", "lightning")) for name in imported(path, at_import=True))
    }
    beside = {name for name in importing if not name.startswith("callbacks/")}
    assert beside == {"training/lightning.py", "training/lightning_callbacks.py", "training/data_module.py"}


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop])
def test_steps_are_those_of_torch(kind: type[torch.optim.Optimizer]) -> None:
    """Must match: weights after three steps by torch's own wrapper, to the bit; hooks are called in each step."""
    leave_uncompiled()
    weights = [torch.linspace(-1, 1, 5, requires_grad=True) for _ in range(2)]
    plain, uncompiled = (kind([weight], lr=0.1) for weight in weights)
    step_uncompiled(uncompiled)
    assert "step" in vars(uncompiled)
    called: list[str] = []
    uncompiled.register_step_pre_hook(lambda *_: called.append("before"))
    for _ in range(3):
        for weight, optimizer in zip(weights, (plain, uncompiled), strict=True):
            optimizer.zero_grad()
            weight.pow(3).sum().backward()
            optimizer.step()
    assert torch.equal(*weights)
    assert called == ["before"] * 3


def test_an_optimiser_of_ones_own_keeps_its_step() -> None:
    """Must differ: a step that torch has not wrapped is left as it is."""

    class Own(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure: object = None) -> None:
            """Do nothing."""

    optimizer = Own([torch.zeros(1, requires_grad=True)], {})
    step_uncompiled(optimizer)
    assert "step" not in vars(optimizer)
