"""One run of a sweep as a user of snnTorch writes it: a process that knows nothing of sgbench.

`python benchmarks/sweep_snntorch.py FOLDER SURROGATE SEED BATCH EPOCHS [LR ALPHA] [full] [double]`; prints a
line of JSON. With LR and ALPHA, the surrogate is atan; `double` trains in float64.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn

Arrays = Mapping[str, np.ndarray]
STEPS, BETA = 100, 0.9
SPIKE_GRADS = {
    "atan": lambda: surrogate.atan(alpha=2.0),
    "fast_sigmoid": lambda: surrogate.fast_sigmoid(slope=25),
    "spike_rate_escape": lambda: surrogate.spike_rate_escape(beta=1, slope=25),
    "straight_through_estimator": surrogate.straight_through_estimator,
}


class WideAtan(torch.autograd.Function):
    """snnTorch's atan in the precision of the potential; its own turns float64 into float32."""

    @staticmethod
    def forward(ctx: Any, potential: Tensor, alpha: float) -> Tensor:
        ctx.save_for_backward(potential)
        ctx.alpha = alpha
        return (potential > 0).to(potential.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (potential,) = ctx.saved_tensors
        curve = ctx.alpha / 2 / (1 + (math.pi / 2 * ctx.alpha * potential) ** 2)
        return gradients[0] * curve, None


class Net(nn.Module):
    """A hidden layer and a readout that does not fire."""

    def __init__(self, weights: Arrays, spike_grad: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.fc1 = nn.Linear(weights["w1"].shape[1], weights["w1"].shape[0])
        self.fc2 = nn.Linear(weights["w2"].shape[1], weights["w2"].shape[0])
        for layer, number in ((self.fc1, 1), (self.fc2, 2)):
            layer.weight.data = torch.from_numpy(weights[f"w{number}"])
            layer.bias.data = torch.from_numpy(weights[f"b{number}"])
        self.lif1 = snn.Leaky(beta=BETA, spike_grad=spike_grad)
        self.lif2 = snn.Leaky(beta=BETA, reset_mechanism="none")

    def forward(self, x: Tensor) -> Tensor:
        """Largest membrane potential of each output over time."""
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        potentials = []
        for step in range(STEPS):
            spikes, mem1 = self.lif1(self.fc1(x[step]), mem1)
            _, mem2 = self.lif2(self.fc2(spikes), mem2)
            potentials.append(mem2)
        return torch.stack(potentials).amax(0)  # as sgbench: of equal ones each has its share of the gradient


def frames(times: Tensor) -> Tensor:
    """Return the spikes [T, B, N] of channels that fire once, at the step `times` [B, N]."""
    return (times[None] == torch.arange(STEPS)[:, None, None]).to(torch.get_default_dtype())


def main(folder: Path, spike_grad: Callable[[Tensor], Tensor], seed: int, batch: int, epochs: int, lr: float) -> None:
    """Train from stored weights on stored batches; print losses and validation scores by epoch, and the test score."""
    torch.set_num_threads(1)
    data = np.load(folder / f"data_{seed}.npz")
    net = Net(np.load(folder / f"weights_{seed}.npz"), spike_grad)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    criterion = nn.CrossEntropyLoss()
    losses, validation = [], []
    for epoch in range(epochs):
        times, target = torch.from_numpy(data[f"times_{epoch}"]), torch.from_numpy(data[f"target_{epoch}"])
        loss_sum = 0.0
        for low in range(0, len(target), batch):
            loss = criterion(net(frames(times[low : low + batch])), target[low : low + batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(target[low : low + batch])
        losses.append(loss_sum / len(target))
        validation.append(score(net, data, "validation", batch))
    print(json.dumps({"losses": losses, "validation": validation, "test": score(net, data, "test", batch)}))


@torch.no_grad()
def score(net: Net, data: Arrays, split: str, batch: int) -> float:
    """Compute the accuracy on a split."""
    times, target = torch.from_numpy(data[f"times_{split}"]), torch.from_numpy(data[f"target_{split}"])
    right = 0
    for low in range(0, len(target), batch):
        right += int((net(frames(times[low : low + batch])).argmax(1) == target[low : low + batch]).sum().item())
    return right / len(target)


if __name__ == "__main__":
    if "full" in sys.argv:  # what projects that are built on Lightning load
        import hydra  # noqa: F401
        import pytorch_lightning  # noqa: F401
        import wandb  # noqa: F401
    if "double" in sys.argv:
        torch.set_default_dtype(torch.float64)
    folder, name, seed, batch, epochs, *rest = (word for word in sys.argv[1:] if word not in ("full", "double"))
    lr, alpha = map(float, rest or ("1e-3", "2.0"))
    slope = surrogate.atan(alpha=alpha) if rest else SPIKE_GRADS[name]()
    if "double" in sys.argv:
        slope = lambda potential: WideAtan.apply(potential, alpha)  # noqa: E731
    main(Path(folder), slope, int(seed), int(batch), int(epochs), lr)
