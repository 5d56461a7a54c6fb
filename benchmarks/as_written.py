"""A training step of snnTorch networks as their authors write them, and the same accelerated.

    python -m benchmarks.as_written                    # all, 9 rounds, one thread
    python -m benchmarks.as_written --only static,conv --threads 2 --json FILE
    python -m benchmarks.as_written --peers torch.compile --only deep
    python -m benchmarks.as_written --page --peers vmap,SpikingJelly,Norse     # writes docs/your_network.md

All have equal weights and take turns in one process. What is timed is the CPU time of a whole step: forward, loss,
backward, Adam. Losses and gradients are compared first, and what differs is not timed. torch.compile needs a compiler,
and minutes for each network.
"""

import argparse
import copy
import importlib
import itertools
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import Tensor, nn

from benchmarks.headline import RESULTS, put
from benchmarks.measure import Spread, interleave, limited, ratios
from benchmarks.memory import ROOT
from sgbench.training.memory import keep_freed_memory
from sgbench.yours.accelerate import accelerate

PAGE, STORED = ROOT / "docs" / "your_network.md", RESULTS / "as_written.json"
START, END = "<!-- as written -->", "<!-- /as written -->"
TOLERANCE = 1e-3
CLASSES = 10
IMAGE_STEPS = 25
PEER_NAMES = ("vmap", "torch.compile", "SpikingJelly", "Norse")


class Dense(nn.Module):
    """Leaky layers of these sizes on events [T, B, N]; an image [B, N] is shown at every one of 25 steps."""

    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__()
        self.fcs = nn.ModuleList([nn.Linear(before, after) for before, after in itertools.pairwise(sizes)])
        self.lifs = nn.ModuleList([snn.Leaky(beta=0.95, **options) for _ in self.fcs])

    def forward(self, x: Tensor) -> Tensor:
        """Potentials of the last layer over time [T, B, C]."""
        mems = [lif.init_leaky() for lif in self.lifs]  # type: ignore[operator]
        mem_rec, is_image = [], x.dim() == 2  # noqa: PLR2004 - [B, N]
        for step in range(IMAGE_STEPS if is_image else len(x)):
            signal = x if is_image else x[step]
            for layer, (fc, lif) in enumerate(zip(self.fcs, self.lifs, strict=True)):
                signal, mems[layer] = lif(fc(signal), mems[layer])
            mem_rec.append(mems[-1])
        return torch.stack(mem_rec)


class Convolutional(nn.Module):
    """Convolutions with pooling, as in snnTorch's tutorial 7, on events [T, B, 2, 34, 34]."""

    def __init__(self, *channels: int, kernel: int, padding: int = 0) -> None:
        super().__init__()
        options = {"beta": 0.5, "spike_grad": surrogate.atan(), "init_hidden": True}
        parts: list[nn.Module] = []
        side = 34
        for before, after in itertools.pairwise((2, *channels)):
            parts += [nn.Conv2d(before, after, kernel, padding=padding), nn.MaxPool2d(2), snn.Leaky(**options)]
            side = (side + 2 * padding - kernel + 1) // 2
        readout = nn.Linear(channels[-1] * side**2, CLASSES)
        self.net = nn.Sequential(*parts, nn.Flatten(), readout, snn.Leaky(**options, output=True))

    def forward(self, x: Tensor) -> Tensor:
        """Potentials of the last layer over time [T, B, C]."""
        utils.reset(self.net)
        return torch.stack([self.net(frame)[1] for frame in x])


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
        for frame in x:
            spk, syn, mem = self.rlif(self.fc1(frame), spk, syn, mem)
            out.append(self.fc2(spk))
        return torch.stack(out)


class Workload(NamedTuple):
    """A network, its input, and what it is."""

    make: Callable[[], nn.Module]
    x: Callable[[], Tensor]
    about: str


def events(steps: int, batch: int, *shape: int, density: float) -> Callable[[], Tensor]:
    """Return a function that draws spikes over time [T, B, ...]."""
    return lambda: torch.bernoulli(torch.full((steps, batch, *shape), density))


WORKLOADS = {
    "static": Workload(
        lambda: Dense(784, 1000, 10), lambda: torch.rand(128, 784), "784-1000-10, one image for 25 steps"
    ),
    "spikes": Workload(
        lambda: Dense(784, 1000, 10), events(25, 128, 784, density=0.1), "the same on spikes, 10 % of inputs"
    ),
    "sparse": Workload(
        lambda: Dense(700, 256, 10), events(100, 128, 700, density=0.02), "700-256-10, 100 steps, 2 % of inputs"
    ),
    "conv": Workload(
        lambda: Convolutional(12, 32, kernel=5), events(25, 32, 2, 34, 34, density=0.03),
        "two convolutions with pooling on events, 25 steps",
    ),
    "conv3": Workload(
        lambda: Convolutional(16, 32, 64, kernel=3, padding=1), events(25, 32, 2, 34, 34, density=0.03),
        "three convolutions with pooling on events, 25 steps",
    ),
    "rsynaptic128": Workload(
        lambda: Recurrent(700, 128), events(100, 64, 700, density=0.02), "`RSynaptic` of 128 neurons, 100 steps"
    ),
    "rsynaptic256": Workload(
        lambda: Recurrent(700, 256), events(100, 64, 700, density=0.02), "`RSynaptic` of 256 neurons, 100 steps"
    ),
    "deep": Workload(
        lambda: Dense(350, 256, 256, 256, 256, 10, threshold=0.5), events(50, 64, 350, density=0.05),
        "five layers, four of them of 256 neurons, 50 steps",
    ),
    "learnt": Workload(
        lambda: Dense(784, 256, 10, learn_beta=True, learn_threshold=True), events(25, 128, 784, density=0.1),
        "learnt betas and thresholds, 784-256-10, 25 steps",
    ),
}  # fmt: skip


class Contender:
    """Trains a network on one input `x`, always from the same weights; `run`: the network, or what runs it faster."""

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


def relative_difference(expected: Contender, actual: Contender) -> float:
    """Train two contenders for a step from equal weights; return the larger difference of loss and of gradients.

    Both differences are relative to `expected`. It is their second step, since the first may record or compile.
    """
    losses = []
    for contender in (expected, actual):
        contender.step()
        contender.reset()
        losses.append(contender.step())
    of_gradients = float((expected.gradients() - actual.gradients()).norm() / expected.gradients().norm())
    return max(abs(losses[0] - losses[1]) / abs(losses[0]), of_gradients)


def measure(name: str, rounds: int, peers: Sequence[str] = ()) -> dict[str, Any]:
    """Time one workload [ms], and compute how many times faster each contender is than the network as written.

    Contenders that compute something else are not timed: ours then raises, and peers are listed with the reason.
    """
    workload = WORKLOADS[name]
    torch.manual_seed(0)
    x, written = workload.x(), workload.make()
    weights = copy.deepcopy(written.state_dict())

    def made() -> nn.Module:  # no deep copy, which `snntorch.utils.reset` would not reach
        network = workload.make()
        network.load_state_dict(weights)
        return network

    network = made()
    fast = accelerate(network)
    contenders = {"as written": Contender(written, written, x), "accelerated": Contender(network, fast, x)}
    if not (difference := relative_difference(*contenders.values())) <= TOLERANCE:  # NaN is refused too
        raise SystemExit(f"{name}: they compute something else: losses or gradients apart by {difference:.2g}")
    refused = _add_peers(peers, made, x, contenders)
    steps = {key: contender.step for key, contender in contenders.items()}
    resets = {key: contender.reset for key, contender in contenders.items()}
    times = {key: own.cpu_ms for key, own in interleave(steps, rounds, resets=resets).items()}
    faster = {key: ratios(times["as written"], own).__dict__ for key, own in times.items()}
    medians = {key: Spread.of(own).median for key, own in times.items()}
    return {
        "workload": name, "about": workload.about, "runs_on": fast.lines, "cpu_ms": medians, "times_faster": faster,
        "peers": refused,
    }  # fmt: skip


def _add_peers(
    names: Sequence[str], made: Callable[[], nn.Module], x: Tensor, contenders: dict[str, Contender]
) -> dict[str, str]:
    """Add a contender for each peer that computes what it should; return by name why others do not.

    `made`: makes the network as written, each time with equal weights.
    """
    from benchmarks.as_written_peers import PEERS

    refused = {}
    for name in names:
        peer, network, reference = PEERS[name], made(), made()
        if missing := peer.lacks(network):
            refused[name] = missing
            continue
        contender = Contender(network, peer.build(network), x)
        difference = relative_difference(Contender(reference, peer.reference(reference), x), contender)
        if difference <= TOLERANCE:
            contenders[name] = contender
        else:
            refused[name] = f"another loss or gradient, by {difference:.2g}"
    return refused


def measure_all(names: Sequence[str], rounds: int, threads: int, peers: Sequence[str] = ()) -> dict[str, Any]:
    """Measure workloads, print a line for each contender and the median of our ratios, and return all numbers."""
    rows = []
    with limited(threads):
        for name in names:
            rows.append(row := measure(name, rounds, peers))
            print(f"{name}: {row['about']}; as written {row['cpu_ms']['as written']:.1f} ms")
            for key in ("accelerated", *peers):
                if key in row["peers"]:
                    print(f"  {key:13} not compared: {row['peers'][key]}")
                    continue
                ratio = row["times_faster"][key]
                ends = f"({ratio['low']:.2f} to {ratio['high']:.2f})"
                print(f"  {key:13} {row['cpu_ms'][key]:8.1f} ms {ratio['median']:6.2f} times {ends}")
            sys.stdout.flush()
    median = statistics.median(row["times_faster"]["accelerated"]["median"] for row in rows)
    print(f"median {median:.2f}; torch {torch.__version__}, {rounds} rounds, CPU time, {threads} threads")
    return {"threads": threads, "rounds": rounds, "median": median, "rows": rows}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Write as Markdown how many times faster than as written: ours with each count of threads, peers with the first.

    `results`: what `measure_all` returned for each count of threads.
    """
    measured = {key for row in results[0]["rows"] for key in row["times_faster"]}
    peers = [key for key in PEER_NAMES if key in measured]
    heads = [f"`accelerate`, {each['threads']} thread{'s' * (each['threads'] > 1)}" for each in results]
    lines = ["| " + " | ".join(["network", *heads, *peers]) + " |", "| --- |" + " --: |" * (len(heads) + len(peers))]
    for rows in zip(*(each["rows"] for each in results), strict=True):
        faster = [row["times_faster"]["accelerated"] for row in rows] + [
            rows[0]["times_faster"].get(key) for key in peers
        ]
        lines.append(
            "| " + " | ".join([rows[0]["about"], *("" if x is None else f"{x['median']:.1f}" for x in faster)]) + " |"
        )
    middles = [f"{each['median']:.1f}" for each in results] + [""] * len(peers)
    return "\n".join([*lines, "| " + " | ".join(["median", *middles]) + " |"])


def main() -> int:
    """Print a line for each workload and contender, and the median of our ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(WORKLOADS), help="names of workloads, with commas")
    parser.add_argument("--peers", default="", help="vmap, torch.compile, SpikingJelly, Norse, with commas")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", action="store_true", help="1 and 2 threads, stored, and shown on the page")
    args = parser.parse_args()
    names, peers = args.only.split(","), list(filter(None, args.peers.split(",")))
    for words, known in ((names, tuple(WORKLOADS)), (peers, PEER_NAMES)):
        if unknown := [word for word in words if word not in known]:
            parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
    keep_freed_memory()
    results = [measure_all(names, args.rounds, 1 if args.page else args.threads, peers)]
    if args.page:
        results.append(measure_all(names, args.rounds, threads=2))
        STORED.write_text(json.dumps(results, indent=1) + "\n")
        put(PAGE, START, END, table(results))
    if args.json is not None:
        args.json.write_text(json.dumps(results[0], indent=1) + "\n")
    return 0


if __name__ == "__main__":  # by its own name, by which the peers know these networks
    raise SystemExit(importlib.import_module("benchmarks.as_written").main())
