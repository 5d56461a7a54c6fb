"""Networks drawn at random under `accelerate`: all are right, and planted violations are found or right.

Expected: the network's own forward under the same seeds, outputs and gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as authors write it

from fastspiking.replay.trace import tensors_in
from sgbench.yours.accelerate import accelerate

pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")  # `.item()` is planted
STEPS, BATCH, INPUTS = 5, 3, 6
GRADS: tuple[Callable[[], Any], ...] = (
    surrogate.atan, surrogate.fast_sigmoid, surrogate.straight_through_estimator, surrogate.triangular,
)  # fmt: skip


def neurons(draw: Random, width: int) -> Any:
    """Neurons of a kind and with options of chance."""
    kind = draw.choice(["Leaky", "Leaky", "Leaky", "Lapicque", "Synaptic", "RLeaky", "RSynaptic"])
    options: dict[str, Any] = {
        "threshold": draw.choice([0.2, 0.5, 1.0]),
        "reset_mechanism": draw.choice(["subtract", "subtract", "zero", "none"]),
        "spike_grad": draw.choice(GRADS)(),
        "beta": draw.choice([0.5, 0.9]),
        "learn_threshold": draw.random() < 0.2,
    }
    if kind != "Lapicque":
        options["learn_beta"] = draw.random() < 0.3
    if kind in ("Leaky", "Synaptic") and draw.random() < 0.3:
        options["beta"] = torch.rand(width)
    if kind in ("Leaky", "RLeaky", "Synaptic"):
        options["reset_delay"] = draw.random() < 0.8
    if kind == "Leaky":
        options["graded_spikes_factor"] = draw.choice([1.0, 1.0, 0.5])
    if "Synaptic" in kind:
        options["alpha"] = draw.choice([0.3, 0.8])
    if kind.startswith("R"):
        more = {"all_to_all": False, "V": 0.4} if draw.random() < 0.3 else {"linear_features": width}
        options |= more
    return getattr(snn, kind)(**options)


class Drawn(nn.Module):
    """Layers, options and idioms of chance."""

    def __init__(self, seed: int, violation: str = "") -> None:
        super().__init__()
        draw = Random(seed)  # noqa: S311 - a test
        torch.manual_seed(seed)
        widths = [INPUTS, *(draw.choice([3, 5]) for _ in range(draw.choice([1, 2, 3])))]
        self.fcs = nn.ModuleList([nn.Linear(*pair) for pair in pairwise(widths)])
        self.lifs = nn.ModuleList([neurons(draw, width) for width in widths[1:]])
        self.norm = draw.choice([nn.Identity, nn.Dropout, lambda: nn.LayerNorm(widths[1])])()
        self.hidden = draw.random() < 0.3
        for lif in self.lifs:
            lif.init_hidden = self.hidden  # type: ignore[assignment]
        self.static, self.out = draw.random() < 0.3, draw.choice(["stack", "sum", "mean", "dict", "table", "last"])
        self.violation, self.at = violation, draw.randrange(len(widths) - 1)
        self.calls, self.gain, self.seen = 0, 1.0, []
        self.bn = nn.BatchNorm1d(widths[1])
        self.register_buffer("kept", torch.zeros(BATCH, widths[-1]))

    def forward(self, x: Tensor) -> Any:
        """Over time, from [T, B, N]."""
        if self.hidden:
            for lif in self.lifs:
                lif.reset_mem()  # type: ignore[operator]
        states = [self._tuple(lif.reset_mem()) for lif in self.lifs]  # type: ignore[operator]
        outs = []
        for step in range(STEPS):
            now = x[0] if self.static else x[step]
            for layer, (fc, lif) in enumerate(zip(self.fcs, self.lifs, strict=True)):
                now = fc(now)
                now = self.norm(now) if layer == 0 else now
                now = self._violated(now, layer, step)
                if self.hidden:
                    now = lif(now)
                    continue
                out = lif(now, *states[layer])
                states[layer] = out if hasattr(lif, "recurrent") else out[1:]
                now = out[0]
            outs.append(now)
        return self._returned(outs)

    def _tuple(self, states: Any) -> tuple[Tensor, ...]:
        return states if isinstance(states, tuple) else (states,)

    def _violated(self, now: Tensor, layer: int, step: int) -> Tensor:  # noqa: C901, PLR0911, PLR0912 - one line a kind
        """Do one thing that a replay could overlook."""
        if layer != self.at or not self.violation:
            return now
        if self.violation == "detach":
            return now.detach() + now * 0.5 if step % 2 else now.detach()
        if self.violation == "no_grad":
            with torch.no_grad():
                return now * 1.0
        if self.violation == "in place":
            now = now * 1.0
            row = now[0]
            now[0] = 0.3
            return now + row
        if self.violation == "item":
            return now * (1 + now.abs().max().item())
        if self.violation == "branch":
            return now * 2 if now.sum() > 0 else now
        if self.violation == "counter":
            self.calls += 1
            return now * (1 + self.calls % 7)
        if self.violation == "list":
            self.seen.append(step)
            return now + len(self.seen)
        if self.violation == "noise":
            return now + torch.randn(now.shape[1])
        if self.violation == "bernoulli":
            return now * torch.bernoulli(now.sigmoid().detach())
        if self.violation == "gain":
            return now * self.gain
        if self.violation == "statistics":
            return self.bn(now) if layer == 0 else F.batch_norm(now, None, None, training=True)
        if self.violation == "twice" and layer == 0:
            return self.bn(self.bn(now) + 1)
        if self.violation == "mixed":
            return now - now.mean(0)
        if self.violation == "buffer" and layer == len(self.lifs) - 1:
            now = now + self.kept
            self.kept = now.detach()
        if self.violation == "feedback":
            self.last = now if step == 0 else now + 0.5 * self.last
            return self.last
        return now

    def _returned(self, outs: list[Tensor]) -> Any:
        """Return outputs in one of the ways of authors."""
        if self.out == "stack":
            return torch.stack(outs, dim=1)
        if self.out == "sum":
            return sum(outs)
        if self.out == "mean":
            return torch.stack(outs).mean(0)
        if self.out == "dict":
            return {"all": outs, "last": outs[-1]}
        if self.out == "last":
            return outs[-1]
        table = torch.zeros(STEPS, *outs[0].shape)
        for step, out in enumerate(outs):
            table[step] = out
        return table


VIOLATIONS = (
    "detach", "no_grad", "in place", "item", "branch", "counter", "list", "noise", "bernoulli", "gain",
    "statistics", "twice", "mixed", "buffer", "feedback", "storage",
)  # fmt: skip


def wrong(seed: int, violation: str = "") -> str:
    """Return what an accelerated network gets wrong over some calls, or ""."""
    theirs, ours = Drawn(seed, violation), Drawn(seed, violation)
    x = (torch.rand(STEPS, BATCH, INPUTS, generator=torch.Generator().manual_seed(seed)) < 0.6).float() * 1.5
    fast = accelerate(ours, x)
    for turn in range(3):
        found = []
        for network, run in ((theirs, theirs), (ours, fast)):
            network.gain = 1.0 + turn // 2
            if violation == "storage" and turn == 1:
                network.fcs[0].weight.data = network.fcs[0].weight.data.clone().t().contiguous().t()  # type: ignore[operator]
            torch.manual_seed(turn)
            outs = list(tensors_in(run(x.roll(turn, 0))))
            learnt = [out for out in outs if out.requires_grad]
            pulls = [torch.linspace(-1, 1, out.numel()).view(out.shape) for out in learnt]
            weights = list(network.parameters())
            grads = torch.autograd.grad(learnt, weights, pulls, allow_unused=True) if learnt else ()
            found.append((outs, [torch.zeros(1) if each is None else each for each in grads]))
        scale = max([1.0, *(float(each.abs().max()) for each in found[0][1])])
        for part, name in enumerate(("outputs", "gradients")):
            for one, other in zip(found[0][part], found[1][part], strict=True):
                if one.shape != other.shape and one.any():
                    return f"{seed} {violation}: {name} of shapes {one.shape}, {other.shape}"
                off = float((one - other).abs().max()) if one.shape == other.shape else 0.0
                if not off <= 1e-4 * (scale if part else 1.0):
                    return f"{seed} {violation}: {name} off by {off:.1e} in call {turn}"
        for one, other in zip(theirs.buffers(), ours.buffers(), strict=True):
            if one.shape == other.shape and not torch.allclose(one, other, rtol=1e-4, atol=1e-4):
                return f"{seed} {violation}: a buffer differs in call {turn}"
        utils.reset(theirs)
        utils.reset(ours)
    return ""


@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_network_gives_the_same(seed: int) -> None:
    assert not wrong(seed)


@pytest.mark.parametrize("violation", VIOLATIONS)
@pytest.mark.one_in(4)
def test_a_planted_violation_is_found_or_right(violation: str) -> None:
    assert not wrong(100, violation)


@pytest.mark.slow
def test_a_thousand_drawn_networks_give_the_same() -> None:
    assert not [said for seed in range(1000) if (said := wrong(seed))]


@pytest.mark.slow
def test_two_hundred_planted_violations_are_found_or_right() -> None:
    """200 of 200."""
    cases = [(seed, VIOLATIONS[seed % len(VIOLATIONS)]) for seed in range(200)]
    assert not [said for seed, violation in cases if (said := wrong(seed, violation))]
