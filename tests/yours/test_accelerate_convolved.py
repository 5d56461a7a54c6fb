"""Convolutions in networks as their authors write them: over events, with autograd's own results and gradients."""

from collections.abc import Callable

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

import sgbench
from fastspiking.replay.groups import ConvolvedImages
from sgbench.yours.accelerate import Accelerated

STEPS, BATCH = 5, 3
Pool = Callable[[Tensor], Tensor]


class Images(nn.Module):
    """Two convolutions, each with pooling of some kind and neurons, and a mean over pixels."""

    def __init__(self, pool: Pool, **options: object) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(2, 4, 3, **options), nn.Conv2d(4, 6, 3, **options)])
        surrogate = sgbench.create("surrogate/atan")
        self.lifs = nn.ModuleList([snn.Leaky(beta=0.8, threshold=0.2, spike_grad=surrogate) for _ in self.convs])
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        mems = [lif.init_leaky() for lif in self.lifs]
        out = []
        for now in x:
            for at, (conv, lif) in enumerate(zip(self.convs, self.lifs, strict=True)):
                now, mems[at] = lif(self.pool(conv(now)), mems[at])  # noqa: PLW2901
            out.append(now.mean((2, 3)) + mems[1].mean((2, 3)))
        return torch.stack(out)


class KeptBefore(Images):
    """Hands out what a convolution gives, which pooling also receives."""

    def forward(self, x: Tensor) -> Tensor:
        found = [self.convs[0](now) for now in x]
        mem, out = self.lifs[0].init_leaky(), []
        for each in found:
            spikes, mem = self.lifs[0](max_pool2d(each, 2), mem)
            out.append(spikes.mean((2, 3)) + each.mean((2, 3)))
        return torch.stack(out)


def same(x: Tensor) -> Tensor:
    return x


CASES: dict[str, tuple[Callable[[], nn.Module], list[int]]] = {
    "pooled": (lambda: Images(nn.MaxPool2d(2)), [2, 2]),
    "pooled by a function": (lambda: Images(lambda x: max_pool2d(x, (2, 2), stride=2)), [2, 2]),
    "not pooled": (lambda: Images(same), [1, 1]),
    "strided and padded": (lambda: Images(same, stride=2, padding=(1, 1), bias=False), [1, 1]),
    "padded and pooled": (lambda: Images(nn.MaxPool2d(2), padding=1), [2, 2]),
    "overlapping windows": (lambda: Images(nn.MaxPool2d(3, stride=2), padding=1), [1, 1]),
    "padded windows": (lambda: Images(nn.MaxPool2d(2, padding=1)), [1, 1]),
    "windows that end behind the image": (lambda: Images(nn.MaxPool2d(2, ceil_mode=True)), [1, 1]),
    "averages": (lambda: Images(nn.AvgPool2d(2)), [1, 1]),
    "groups": (lambda: Images(nn.MaxPool2d(2), groups=2), []),
    "dilated": (lambda: Images(same, dilation=2), []),
    "padded by name": (lambda: Images(nn.MaxPool2d(2), padding="same"), []),
    "padded by copies": (lambda: Images(nn.MaxPool2d(2), padding=1, padding_mode="replicate"), [2, 2]),
    "oblong": (lambda: Images(same, stride=(1, 2)), []),
    "used twice": (lambda: KeptBefore(nn.MaxPool2d(2)), [1]),
}
"""Networks, and the sides of the windows that run with convolutions over events; 1 is none."""


@pytest.mark.parametrize("density", [0.1, 0.9])
@pytest.mark.parametrize("case", CASES)
def test_results_and_gradients_of_convolutions_are_the_networks_own(case: str, density: float) -> None:
    """Must match: torch's, to 1e-12 in float64, with few and with many events. Must differ: forms loops lack."""
    make, sides = CASES[case]
    torch.manual_seed(2)
    network = make().double()
    x = torch.bernoulli(torch.full((STEPS, BATCH, 2, 14, 14), density, dtype=torch.float64)).requires_grad_()
    pull = torch.randn(STEPS, BATCH, 1, dtype=torch.float64)
    fast = Accelerated(network)
    fast(x)
    sources = [x, *(weight for weight in network.parameters())]
    found, expected = fast(x), network(x)
    assert fast.as_written == ""
    convolved = [step for step in fast._entries[0].plan.steps if isinstance(step, ConvolvedImages)]
    assert [step.pool for step in convolved] == sides
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    ours, theirs = (torch.autograd.grad((out * pull).sum(), sources, allow_unused=True) for out in (found, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12 * float(other.abs().max()))
