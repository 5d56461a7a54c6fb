"""`fastspiking` stands alone: it imports with torch, numpy and numba, and runs neurons that it has never seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from fastspiking.choose import Engine
from fastspiking.spec import Kernel, LinearSpec
from tests.documents import blocks

ROOT = Path(__file__).resolve().parents[2]
OPTIONAL = {"snntorch", "triton"}
"""Modules of engines that run another library."""
ALONE = f"""
import importlib, importlib.metadata, pathlib, re, sys

def needed(name, seen):
    if name not in seen:
        seen.add(name)
        for line in importlib.metadata.requires(name) or ():
            if "extra ==" not in line:
                try:
                    needed(re.split(r"[^\\w.-]", line)[0], seen)
                except importlib.metadata.PackageNotFoundError:
                    pass
    return seen

packages = set()
for name in ("torch", "numpy", "numba"):
    needed(name, packages)
modules = {{m for m, ds in importlib.metadata.packages_distributions().items()
           if {{d.lower().replace("_", "-") for d in ds}} & {{p.lower().replace("_", "-") for p in packages}}}}
asked = set()

class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in modules and top not in sys.stdlib_module_names and top != "fastspiking":
            asked.add(top)
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Nothing())
sys.path.insert(0, {str(ROOT)!r})
root = pathlib.Path({str(ROOT)!r})
for path in sorted((root / "fastspiking").rglob("*.py")):
    if path.stem not in {OPTIONAL!r}:
        importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"))
print(sorted(asked & {{"sgbench", "snntorch", "pytorch_lightning", "hydra", "omegaconf", "pydantic"}}))
"""


@pytest.mark.slow
def test_it_imports_with_torch_numpy_and_numba_alone() -> None:
    """Every module but those of other libraries; whatever those three do not need themselves is not there."""
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_no_module_names_the_package_above() -> None:
    """Must differ: an import of sgbench anywhere, inside a function too."""
    texts = {path: path.read_text() for path in (ROOT / "fastspiking").rglob("*.py")}
    assert len(texts) > 50
    assert [str(path) for path, text in texts.items() if "import sgbench" in text or "from sgbench" in text] == []


class Spike(torch.autograd.Function):
    """A step forward, a triangle backward."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (u,) = ctx.saved_tensors
        return grads[0] * Triangle().derivative(u)


class Triangle(nn.Module):
    """max(0, 1 - |u|), a surrogate of no class that the engines know."""

    stochastic, elementwise, fires_at_threshold, has_own_forward = False, True, True, False

    def forward(self, u: Tensor) -> Tensor:
        spikes = Spike.apply(u)
        assert isinstance(spikes, Tensor)
        return spikes

    def derivative(self, u: Tensor) -> Tensor:
        return torch.relu(1 - u.abs())

    def primitive(self, u: Tensor) -> Tensor:
        raise NotImplementedError

    def kernel(self) -> Kernel | None:
        return Kernel("triangle", 1.0, 1.0)

    def as_formula(self) -> None:
        return None


class State(NamedTuple):
    u: Tensor
    s: Tensor


class Leaky(nn.Module):
    """u[t] = 0.9 u[t-1] + I[t] - s[t-1], and a spike where u > 1."""

    currents, sees_all_steps = 1, False

    def __init__(self, *, linear: bool) -> None:
        super().__init__()
        self.surrogate, self.linear = Triangle(), linear

    def initial_state(self, like: Tensor) -> State:
        return State(torch.zeros_like(like), torch.zeros_like(like))

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        u = 0.9 * state.u - state.s.detach() + current
        s = self.surrogate(u - 1.0)
        return s, State(u, s)

    def fed_back(self, state: State) -> Tensor:
        return state.s

    def driven(self, current: Tensor, recurrent: Tensor) -> Tensor:
        return current + recurrent

    def centred(self, state: State) -> Tensor:
        return state.u - 1.0

    def recurrence_spec(self) -> LinearSpec | None:
        spec = LinearSpec(surrogate=self.surrogate, reset="subtract", detached=True, decay=0.9, threshold=1.0)
        return spec if self.linear else None


class Layer(nn.Linear):
    name, recurrence, recurrent, cut = "hidden", "none", None, False

    def __init__(self, neuron: Leaky) -> None:
        super().__init__(16, 8, dtype=torch.float64)
        self.neuron = neuron

    def synapses(self) -> tuple[Tensor, Tensor]:
        return self.weight, self.bias

    def current(self, x: Tensor) -> Tensor:
        return self(x)

    def feedback(self, s: Tensor) -> Tensor:
        raise NotImplementedError


def gradient(engine: str, *, linear: bool) -> tuple[Tensor, Tensor]:
    """Spikes and the weights' gradient of a fixed layer on fixed spikes."""
    random = torch.Generator().manual_seed(0)
    layer = Layer(Leaky(linear=linear))
    with torch.no_grad():
        layer.weight.copy_(torch.randn(8, 16, generator=random, dtype=torch.float64))
        layer.bias.fill_(0.1)
    given = (torch.rand(50, 4, 16, generator=random) < 0.2).double()
    (run,) = Engine(engine).unroll([layer], given)
    assert run.output is not None
    run.output.cumsum(0).sum().backward()
    assert layer.weight.grad is not None
    return run.output.detach(), layer.weight.grad


@pytest.mark.parametrize(("engine", "linear"), [("scan", True), ("fused", True), ("auto", False)])
def test_neurons_and_surrogates_of_others_run(engine: str, linear: bool, loops_in_python: None) -> None:
    """Expected: the spikes and, to 1e-12, the gradients of `reference`, which calls the step under autograd."""
    spikes, expected = gradient("reference", linear=linear)
    found, grad = gradient(engine, linear=linear)
    assert 0.02 < spikes.mean() < 0.9
    assert torch.equal(found, spikes)
    torch.testing.assert_close(grad, expected, rtol=1e-12, atol=1e-12)


def test_the_example_of_its_page_runs() -> None:
    """The README of the package, as it stands."""
    (example,) = blocks(ROOT / "fastspiking" / "README.md", "python")
    exec(compile(example, "README", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own document
