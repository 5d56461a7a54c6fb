"""A network of snnTorch's layers as it is, and the same faster: python examples/faster_training.py."""

import time

import snntorch as snn
import torch
from torch import Tensor, nn

import sgbench


def cpu_s_of_step(forward: nn.Module, x: Tensor) -> float:
    """Measure the processor time of a forward and a backward pass [s], after one that compiles."""
    for _ in range(2):
        began_s = time.process_time()
        forward(x).sum().backward()
        took_s = time.process_time() - began_s
    return took_s


if __name__ == "__main__":
    torch.manual_seed(0)
    spike_grad = snn.surrogate.atan()
    net = nn.Sequential(nn.Linear(700, 256), snn.Leaky(beta=0.9, spike_grad=spike_grad), nn.Linear(256, 20))
    slow = sgbench.unroll(net)
    x = (torch.rand(100, 64, 700) < 0.02).float()
    fast = sgbench.accelerate(slow, x)
    print("equal outputs:", torch.allclose(slow(x), fast(x), atol=1e-4))
    print(f"a step takes {cpu_s_of_step(slow, x):.2f} s, accelerated {cpu_s_of_step(fast, x):.2f} s")
