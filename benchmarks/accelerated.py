"""What `sgbench.accelerate` makes of a snnTorch network's training step: python -m benchmarks.accelerated.

The network is snnTorch's own, of its modules; the fast one shares its weights. Losses and gradients are compared
first. Dense input is handed to both, so looking for the spikes in it is a part of what is timed.
"""

import argparse
import sys

import torch
from torch import nn

from benchmarks.contender import TorchContender
from benchmarks.contenders_snntorch import SnnTorchNet, product_weights
from benchmarks.measure import Spread, interleave, limited, ratios
from benchmarks.workloads import WORKLOADS, make_task
from sgbench.training.memory import keep_freed_memory
from sgbench.yours.accelerate import accelerate
from sgbench.yours.unroll import unroll

TOLERANCE = 1e-4


def measure(workload: str, rounds: int) -> tuple[Spread, dict[str, float]]:
    """How many times faster the fast step is, and the median CPU time of each [ms]."""
    task = make_task(workload, WORKLOADS[workload].sizes)
    slow_net, fast_net = (SnnTorchNet(task, hoisted=False) for _ in range(2))
    pairs = zip(fast_net.products, fast_net.neurons, strict=True)
    fast = accelerate(unroll(nn.Sequential(*[module for pair in pairs for module in pair])))
    slow = TorchContender(task, lambda: slow_net(task.x), product_weights(task, slow_net.products), list)
    fires = task.stages[-1].fires

    def forward() -> torch.Tensor:
        spikes, potential = fast(task.x)
        return spikes if fires else potential

    quick = TorchContender(task, forward, product_weights(task, fast_net.products), list)
    losses = slow.step(), quick.step()
    gradients = slow.gradients(), quick.gradients()
    worst = max(float((one - gradients[1][key]).abs().max() / one.abs().max()) for key, one in gradients[0].items())
    if abs(losses[0] - losses[1]) > TOLERANCE * abs(losses[0]) or worst > TOLERANCE * 10:
        raise SystemExit(f"they compute something else: losses {losses}, gradients apart by {worst:.2g}")
    with limited(1):
        keep_freed_memory()
        times = interleave({"snntorch": slow.step, "accelerated": quick.step}, rounds)
    cpu = {name: own.cpu_ms for name, own in times.items()}
    return ratios(cpu["snntorch"], cpu["accelerated"]), {name: Spread.of(own_ms).median for name, own_ms in cpu.items()}


def main() -> int:
    """Print the ratio with the lowest and the highest of a round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", choices=("w1_ff", "w1_deep", "w3"), default="w1_ff")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    ratio, median_ms = measure(given.workload, given.rounds)
    medians = ", ".join(f"{name} {value:.1f} ms" for name, value in median_ms.items())
    print(f"{given.workload}: {medians}; {ratio.median:.1f} times faster ({ratio.low:.1f} to {ratio.high:.1f})")
    print(f"torch {torch.__version__}, {given.rounds} rounds, CPU time, 1 thread")
    return 0


if __name__ == "__main__":
    sys.exit(main())
