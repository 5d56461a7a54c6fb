"""snnTorch as its users write it, and with the products of all steps made at once."""

import snntorch as snn
import torch
from torch import Tensor, nn

from benchmarks.contender import TorchContender, copied, rates_by_hooks
from benchmarks.workloads import BETA, KERNEL, POOL, THRESHOLD, Stage, Task
from sgbench.surrogates.atan import Atan


def torch_product(stage: Stage) -> nn.Module:
    """A stage's product on [B, ...] by torch's own modules."""
    if stage.kind == "conv":
        n_out, n_in = stage.weight.shape[:2]
        conv = copied(nn.Conv2d(n_in, n_out, KERNEL, dtype=stage.weight.dtype), stage.weight, stage.bias)
        return nn.Sequential(conv, nn.MaxPool2d(POOL))
    n_out, n_in = stage.weight.shape
    return nn.Sequential(
        nn.Flatten(), copied(nn.Linear(n_in, n_out, dtype=stage.weight.dtype), stage.weight, stage.bias)
    )


def synapses(product: nn.Module) -> nn.Module:
    return next(module for module in product.modules() if isinstance(module, nn.Linear | nn.Conv2d))


def product_weights(task: Task, products: nn.ModuleList) -> dict[str, nn.Parameter]:
    weights = {}
    for stage, product in zip(task.stages, products, strict=True):
        module = synapses(product)
        weights |= {f"{stage.name}.weight": module.weight, f"{stage.name}.bias": module.bias}
    return weights


class SnnTorchNet(nn.Module):
    """The network of a task from snnTorch's classes.

    `task`: what is copied; `hoisted`: whether each product is made once for all steps.
    """

    def __init__(self, task: Task, *, hoisted: bool) -> None:
        super().__init__()
        self.hoisted = hoisted
        self.stages = task.stages
        self.products = nn.ModuleList([torch_product(stage) for stage in task.stages])
        self.neurons = nn.ModuleList([_neuron(stage) for stage in task.stages])

    def forward(self, x: Tensor) -> Tensor:
        """Output of the last stage [T, B, C] for x [T, B, ...]."""
        return self._hoisted(x) if self.hoisted else self._step_by_step(x)

    def _step_by_step(self, x: Tensor) -> Tensor:
        states = [neuron.reset_mem() for neuron in self.neurons]  # type: ignore[operator]
        outputs = []
        for step in range(x.shape[0]):
            now = x[step]
            for position, product in enumerate(self.products):
                now, states[position] = self._advance(position, product(now), states[position])
            outputs.append(now)
        return torch.stack(outputs)

    def _hoisted(self, x: Tensor) -> Tensor:
        for position, product in enumerate(self.products):
            current = product(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            state = self.neurons[position].reset_mem()  # type: ignore[operator]
            outputs = []
            # unbind: current[t] would fill a gradient of all steps with zeros in each step.
            for driven in current.unbind(0):
                output, state = self._advance(position, driven, state)
                outputs.append(output)
            x = torch.stack(outputs)
        return x

    def _advance(
        self, position: int, current: Tensor, state: Tensor | tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor | tuple[Tensor, Tensor]]:
        """One step of one layer: what it hands on, and its next state."""
        stage, neuron = self.stages[position], self.neurons[position]
        if stage.recurrent is not None:
            spikes, potential = neuron(current, *state)
            return spikes, (spikes, potential)
        spikes, potential = neuron(current, state)
        return spikes if stage.fires else potential, potential


def _neuron(stage: Stage) -> nn.Module:
    dtype = stage.weight.dtype
    options = {
        "beta": torch.tensor(BETA, dtype=dtype),
        "threshold": torch.tensor(THRESHOLD, dtype=dtype),
        "reset_mechanism": "subtract" if stage.fires else "none",
    }
    if dtype == torch.float64:
        # Its own surrogates turn a float64 gradient into float32; this is the same curve.
        options["spike_grad"] = Atan(alpha=2.0, width_fwhm=None, normalisation="raw", scale=1.0)
    if stage.recurrent is None:
        return snn.Leaky(**options)
    neuron = snn.RLeaky(linear_features=stage.recurrent.shape[0], **options).to(dtype)
    copied(neuron.recurrent, stage.recurrent)
    neuron.recurrent.bias.requires_grad_(False)  # a second bias, which the other models do not have
    return neuron


def build(task: Task, *, hoisted: bool) -> TorchContender:
    network = SnnTorchNet(task, hoisted=hoisted)
    weights = product_weights(task, network.products)
    for stage, neuron in zip(task.stages, network.neurons, strict=True):
        if stage.recurrent is not None:
            weights[f"{stage.name}.recurrent"] = neuron.recurrent.weight  # type: ignore[union-attr]
    firing = [neuron for stage, neuron in zip(task.stages, network.neurons, strict=True) if stage.fires]
    return TorchContender(
        task, lambda: network(task.x), weights, lambda: rates_by_hooks(firing, lambda: network(task.x))
    )
