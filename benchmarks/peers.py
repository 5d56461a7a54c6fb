"""Other frameworks that train through torch, each as its own documentation writes it.

Their neurons are near ours, not equal: SpikingJelly and sinabs subtract the threshold before the decay, and Norse
resets to zero. spyx has a file of its own.
"""

import importlib
import math
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.contenders import Build, Contender, TorchContender, copied, rates_by_hooks, synapses, torch_product
from benchmarks.workloads import BETA, KERNEL, POOL, THRESHOLD, Stage, Task
from sgbench.errors import one_printable_line

NORSE_DT_S = 1e-3


class Peer(NamedTuple):
    """A framework that may be installed."""

    build: Build
    module: str
    install: str  # what to type


class Leak(nn.Module):
    """Is the readout of frameworks that have none that returns all steps: u[t] = beta u[t-1] + I[t]."""

    def forward(self, current: Tensor) -> Tensor:
        """Return the potentials [T, B, C] for a current [T, B, C]."""
        potential = torch.zeros_like(current[0])
        potentials = []
        for step_current in current.unbind(0):
            potential = BETA * potential + step_current
            potentials.append(potential)
        return torch.stack(potentials)


def spikingjelly(task: Task) -> TorchContender:
    """Build a task's network with SpikingJelly in its multi-step mode."""
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    def lif(mode: str) -> nn.Module:
        return neuron.LIFNode(
            tau=1 / (1 - BETA),
            decay_input=False,
            v_threshold=THRESHOLD,
            v_reset=None,
            detach_reset=True,
            surrogate_function=surrogate.ATan(),
            step_mode=mode,
        )

    def neurons(stage: Stage) -> nn.Module:
        if stage.recurrent is None:
            return lif("m") if stage.fires else Leak()
        size = stage.recurrent.shape[0]
        cell = layer.LinearRecurrentContainer(lif("s"), size, size, bias=True, step_mode="m")
        # One matrix over the current and the last spikes: [1, V].
        copied(cell.rc, torch.cat([torch.eye(size), stage.recurrent], dim=1))
        return cell

    def product(stage: Stage) -> nn.Module:
        n_out, n_in = stage.weight.shape[:2]
        if stage.kind == "conv":
            conv = copied(layer.Conv2d(n_in, n_out, KERNEL, step_mode="m"), stage.weight, stage.bias)
            return nn.Sequential(conv, layer.MaxPool2d(POOL, step_mode="m"))
        linear = copied(layer.Linear(n_in, n_out, step_mode="m"), stage.weight, stage.bias)
        return nn.Sequential(layer.Flatten(step_mode="m"), linear)

    layers = [module for stage in task.stages for module in (product(stage), neurons(stage))]
    network = nn.Sequential(*layers)

    def forward() -> Tensor:
        functional.reset_net(network)
        return network(task.x)

    cells = layers[1::2]  # behind each product
    firing = [cell for stage, cell in zip(task.stages, cells, strict=True) if stage.fires]
    return _near_model(task, network, forward, firing)


def norse(task: Task) -> TorchContender:
    """Build a task's network with Norse: products of all steps at once, its box neuron lifted over time."""
    import norse.torch as no

    # Norse scales the current by dt / tau, so potential and threshold are 1 - beta times ours.
    rate, threshold = torch.as_tensor((1 - BETA) / NORSE_DT_S), torch.as_tensor((1 - BETA) * THRESHOLD)

    def neurons(stage: Stage) -> nn.Module:
        if not stage.fires:
            return Leak()
        if stage.recurrent is None:
            return no.Lift(no.LIFBoxCell(p=no.LIFBoxParameters(tau_mem_inv=rate, v_th=threshold)))
        # Its recurrent cells all have a synaptic current; here one that lasts a step.
        synapse = torch.as_tensor(1 / NORSE_DT_S)
        parameters = no.LIFParameters(tau_mem_inv=rate, tau_syn_inv=synapse, v_th=threshold)
        size = stage.recurrent.shape[0]
        cell = no.LIFRecurrent(size, size, p=parameters)
        with torch.no_grad():
            cell.recurrent_weights.copy_(stage.recurrent)
            cell.input_weights.copy_(torch.eye(size))
        return cell

    return _stacked(task, neurons)


def _stacked(task: Task, neurons: Any) -> TorchContender:
    """Make a contender of stages that run each product for all steps at once, then neurons over time.

    `neurons`: builds the neurons of a stage.
    """
    products = nn.ModuleList([torch_product(stage) for stage in task.stages])
    cells = nn.ModuleList([neurons(stage) for stage in task.stages])

    def forward() -> Tensor:
        x = task.x
        for product, cell in zip(products, cells, strict=True):
            x = cell(product(x.flatten(0, 1)).unflatten(0, task.x.shape[:2]))
            x = x[0] if isinstance(x, tuple) else x
        return x

    firing = [cell for stage, cell in zip(task.stages, cells, strict=True) if stage.fires]
    return _near_model(task, nn.ModuleList([products, cells]), forward, firing)


def sinabs(task: Task) -> TorchContender:
    """Build a task's network with sinabs, which takes samples before steps, and images with both on one axis."""
    import sinabs as sn
    from sinabs import layers as sl

    steps, batch = task.x.shape[:2]
    on_images = task.x.dim() > 3  # noqa: PLR2004 - T, B, N
    tau = torch.tensor(-1 / math.log(BETA))
    options = {
        "tau_mem": tau,
        "norm_input": False,
        "spike_fn": sn.activation.SingleSpike,
        "spike_threshold": torch.tensor(THRESHOLD),
    }

    def neurons(stage: Stage) -> nn.Module:
        if not stage.fires:
            return sl.ExpLeak(tau_mem=tau, norm_input=False)
        if stage.recurrent is not None:
            size = stage.recurrent.shape[0]
            return sl.LIFRecurrent(rec_connect=copied(nn.Linear(size, size), stage.recurrent), **options)
        return sl.LIFSqueeze(batch_size=batch, **options) if on_images else sl.LIF(**options)

    x = task.x.transpose(0, 1).contiguous()
    products = [torch_product(stage) for stage in task.stages]
    if not on_images:
        products = [synapses(product) for product in products]
    cells = [neurons(stage) for stage in task.stages]
    for cell in cells:
        cell.tau_mem.requires_grad_(False)  # type: ignore[union-attr, operator]
    network = nn.Sequential(*(module for pair in zip(products, cells, strict=True) for module in pair))

    def forward() -> Tensor:
        for cell in cells:  # sinabs.reset_states passes over layers with recurrent weights
            cell.reset_states()  # type: ignore[operator]
        output = network(x.flatten(0, 1) if on_images else x)
        return output.view(batch, steps, -1).transpose(0, 1)

    firing = [cell for stage, cell in zip(task.stages, cells, strict=True) if stage.fires]
    return _near_model(task, network, forward, firing)


def _near_model(task: Task, network: nn.Module, forward: Any, firing: list[nn.Module]) -> TorchContender:
    """Make a contender that is near the task's model, not equal; `firing`: modules of neurons that fire."""
    weights = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    return TorchContender(task, forward, weights, lambda: rates_by_hooks(firing, forward), same_model=False)


def spyx(task: Task) -> Contender:
    from benchmarks.peer_spyx import SpyxContender

    return SpyxContender(task)


PEERS = {
    "spikingjelly": Peer(spikingjelly, "spikingjelly", "pip install spikingjelly"),
    "norse": Peer(norse, "norse", "pip install norse"),
    # Its dependency samna starts an installer of its own when it is imported.
    "sinabs": Peer(sinabs, "sinabs", "pip install --no-deps sinabs nir nirtorch pbr"),
    "spyx": Peer(spyx, "spyx", "pip install spyx"),
}


def missing() -> dict[str, str]:
    """Map the names of peers that cannot be compared here to the reason, with what to install."""
    reasons = {}
    for name, peer in PEERS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about their own dependencies
                importlib.import_module(peer.module)
        except ImportError as error:
            absent = getattr(error, "name", None) == peer.module
            why = "not installed" if absent else f"cannot be imported ({one_printable_line(error)})"
            reasons[name] = f"{why}: {peer.install}"
    return reasons
