"""A training step of snnTorch networks as their authors write them, and the same accelerated.

    python -m benchmarks.as_written                    # all, 9 rounds, one thread
    python -m benchmarks.as_written --only static,conv --threads 2 --json FILE

Both have equal weights and take turns in one process. What is timed is the CPU time of a whole step: forward, loss,
backward, Adam. Losses and gradients are compared first; nothing is timed if they differ.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import Tensor, nn

from benchmarks.measure import Spread, interleave, limited, ratios
from sgbench.training.memory import keep_freed_memory
from sgbench.yours.accelerate import accelerate

TOLERANCE = 1e-3
CLASSES = 10


class Dense(nn.Module):
    """Leaky layers of these sizes on events [T, B, N]; an image [B, N] is shown at every one of 25 steps."""

    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__()
        self.fcs = nn.ModuleList([nn.Linear(before, after) for before, after in itertools.pairwise(sizes)])
        self.lifs = nn.ModuleList([snn.Leaky(beta=0.95, **options) for _ in self.fcs])

    def forward(self, x: Tensor) -> Tensor:
        """Potentials of the last layer over time [T, B, C]."""
        mems = [lif.init_leaky() for lif in self.lifs]  # type: ignore[operator]
        mem_rec = []
        for step in range(25 if x.dim() == 2 else len(x)):  # noqa: PLR2004 - an image
            now = x if x.dim() == 2 else x[step]  # noqa: PLR2004
            for layer, (fc, lif) in enumerate(zip(self.fcs, self.lifs, strict=True)):
                now, mems[layer] = lif(fc(now), mems[layer])
            mem_rec.append(mems[-1])
        return torch.stack(mem_rec)


class Convolutional(nn.Module):
    """snnTorch's tutorial 7: two convolutions with pooling, on events [T, B, 2, 34, 34]."""

    def __init__(self) -> None:
        super().__init__()
        options = {"beta": 0.5, "spike_grad": surrogate.atan(), "init_hidden": True}
        self.net = nn.Sequential(
            nn.Conv2d(2, 12, 5), nn.MaxPool2d(2), snn.Leaky(**options),
            nn.Conv2d(12, 32, 5), nn.MaxPool2d(2), snn.Leaky(**options),
            nn.Flatten(), nn.Linear(32 * 5 * 5, CLASSES), snn.Leaky(**options, output=True),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Potentials of the last layer over time [T, B, C]."""
        utils.reset(self.net)
        return torch.stack([self.net(now)[1] for now in x])


class Recurrent(nn.Module):
    """RSynaptic neurons, connected all to all, with a dense readout."""

    def __init__(self, inputs: int, neurons: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(inputs, neurons), nn.Linear(neurons, CLASSES)
        self.rlif = snn.RSynaptic(alpha=0.9, beta=0.9, linear_features=neurons)
        nn.init.normal_(self.rlif.get_parameter("recurrent.weight"), std=0.3 / neurons**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """The readout over time [T, B, C]."""
        spk, syn, mem = self.rlif.init_rsynaptic()
        out = []
        for now in x:
            spk, syn, mem = self.rlif(self.fc1(now), spk, syn, mem)
            out.append(self.fc2(spk))
        return torch.stack(out)


class Workload(NamedTuple):
    """A network, its input, and what it is."""

    make: Callable[[], nn.Module]
    x: Callable[[], Tensor]
    about: str


def events(steps: int, batch: int, *shape: int, density: float) -> Callable[[], Tensor]:
    """Spikes over time [T, B, ...]."""
    return lambda: torch.bernoulli(torch.full((steps, batch, *shape), density))


WORKLOADS = {
    "static": Workload(
        lambda: Dense(784, 1000, 10), lambda: torch.rand(128, 784), "784-1000-10, one image for 25 steps, batch 128"
    ),
    "spikes": Workload(
        lambda: Dense(784, 1000, 10), events(25, 128, 784, density=0.1), "the same on spikes, 10 % of inputs"
    ),
    "sparse": Workload(
        lambda: Dense(700, 256, 10), events(100, 128, 700, density=0.02), "700-256-10, 100 steps, 2 %, batch 128"
    ),
    "conv": Workload(
        Convolutional, events(25, 32, 2, 34, 34, density=0.03), "12C5-MP2-32C5-MP2-10, 25 steps, 3 %, batch 32"
    ),
    "rsynaptic128": Workload(
        lambda: Recurrent(700, 128), events(100, 64, 700, density=0.02), "RSynaptic, 100 steps, 2 %, batch 64"
    ),
    "rsynaptic256": Workload(
        lambda: Recurrent(700, 256), events(100, 64, 700, density=0.02), "RSynaptic, 100 steps, 2 %, batch 64"
    ),
    "deep": Workload(
        lambda: Dense(350, 256, 256, 256, 256, 10, threshold=0.5), events(50, 64, 350, density=0.05),
        "350-256-256-256-256-10, 50 steps, 5 %, batch 64",
    ),
    "learnt": Workload(
        lambda: Dense(784, 256, 10, learn_beta=True, learn_threshold=True), events(25, 128, 784, density=0.1),
        "784-256-10, betas and thresholds learnt, 25 steps, 10 %, batch 128",
    ),
}  # fmt: skip


class Contender:
    """Trains a network on one batch, always from the same weights.

    Args:
        network: whose weights are trained.
        run: the network, or what runs it faster.
        x: the input.
    """

    def __init__(self, network: nn.Module, run: nn.Module, x: Tensor) -> None:
        self.network, self.run, self.x = network, run, x
        self.start = {name: value.clone() for name, value in network.state_dict().items()}
        self.labels = torch.arange(x.shape[0 if x.dim() == 2 else 1]) % CLASSES  # noqa: PLR2004 - an image
        self.optimizer = torch.optim.Adam(network.parameters(), lr=5e-4)

    def step(self) -> float:
        """Forward, loss, backward and Adam; returns the loss."""
        loss = nn.functional.cross_entropy(self.run(self.x).sum(0), self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def reset(self) -> None:
        """Load the first weights, so that firing rates stay what they are."""
        with torch.no_grad():
            for name, weight in self.network.named_parameters():
                weight.copy_(self.start[name])

    def gradients(self) -> Tensor:
        """All gradients in one vector."""
        weights = list(self.network.parameters())
        return torch.cat([(torch.zeros_like(x) if x.grad is None else x.grad).flatten() for x in weights])


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Times of one workload [ms], and their ratio: its median, lowest and highest of a round."""
    workload = WORKLOADS[name]
    torch.manual_seed(0)
    x, written, shared = workload.x(), workload.make(), workload.make()
    shared.load_state_dict(written.state_dict())
    fast = accelerate(shared)
    slow, quick = Contender(written, written, x), Contender(shared, fast, x)
    quick.step()  # recorded as written
    quick.reset()
    losses = slow.step(), quick.step()
    apart = float((slow.gradients() - quick.gradients()).norm() / slow.gradients().norm())
    if abs(losses[0] - losses[1]) > TOLERANCE * abs(losses[0]) or apart > TOLERANCE:
        raise SystemExit(f"{name}: they compute something else: losses {losses}, gradients apart by {apart:.2g}")
    steps = {"as written": slow.step, "accelerated": quick.step}
    resets = {"as written": slow.reset, "accelerated": quick.reset}
    times = {key: own.cpu_ms for key, own in interleave(steps, rounds, resets=resets).items()}
    ratio = ratios(times["as written"], times["accelerated"])
    found = {key.replace(" ", "_") + "_cpu_ms": Spread.of(own).median for key, own in times.items()}
    return {"workload": name, "about": workload.about, "runs_on": fast.lines, **found, "times_faster": ratio.__dict__}


def main() -> int:
    """Print a line for each workload, and the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(WORKLOADS), help="names of workloads, with commas")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    names = given.only.split(",")
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(WORKLOADS)}")
    keep_freed_memory()
    rows = []
    with limited(given.threads):
        for name in names:
            rows.append(row := measure(name, given.rounds))
            times, ratio = (row["as_written_cpu_ms"], row["accelerated_cpu_ms"]), row["times_faster"]
            print(
                f"{name:13} {times[0]:8.1f} ms {times[1]:8.1f} ms {ratio['median']:6.2f} times "
                f"({ratio['low']:.2f} to {ratio['high']:.2f})  {row['about']}",
                flush=True,
            )
    middle = statistics.median(row["times_faster"]["median"] for row in rows)
    print(f"median {middle:.2f}; torch {torch.__version__}, {given.rounds} rounds, CPU time, {given.threads} threads")
    if given.json is not None:
        given.json.write_text(json.dumps({"threads": given.threads, "median": middle, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
