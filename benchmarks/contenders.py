"""What is compared: one training step of sgbench's engines, or of snnTorch, on one task.

snnTorch is written as its users write it, and with the products of all steps made at once.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from benchmarks.workloads import BETA, KERNEL, LEARNING_RATE, POOL, THRESHOLD, Stage, Task
from fastspiking.choose import Engine
from fastspiking.event_convolution import Convolution, convolve
from fastspiking.signals.spikes import Signal, SparseSpikes
from sgbench.networks.base import DenseLayer
from sgbench.networks.pool import Image
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.surrogates.atan import Atan


class Contender(Protocol):
    """A network in training; `step` is what is timed."""

    same_model: bool  # whether losses and gradients have to equal snnTorch's

    def step(self) -> float:
        """Forward, loss, backward and, where the task has one, the optimiser; returns the loss."""
        ...

    def reset(self) -> None:
        """Go back to the weights and the optimiser of the beginning; not timed."""
        ...

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradients of the last step by name of the weight; empty if they are not compared."""
        ...

    def rates(self) -> list[float]:
        """Return the spikes per neuron and step of each layer that fires, with the present weights."""
        ...


Build = Callable[[Task], Contender]


class TorchContender:
    """Any framework that trains through torch's autograd.

    `forward`: output of the last stage over time [T, B, C]. `weights`: what is trained, by the names that gradients are
    compared under. `fused`: whether Adam is torch's one loop, as `sgbench run` takes it; None is torch's default.
    """

    def __init__(
        self,
        task: Task,
        forward: Callable[[], Tensor],
        weights: Mapping[str, nn.Parameter],
        rates: Callable[[], list[float]],
        *,
        same_model: bool = True,
        fused: bool | None = None,
    ) -> None:
        self.task = task
        self.forward = forward
        self.weights = dict(weights)
        self.rates = rates
        self.same_model = same_model
        learns = task.target is not None
        adam = partial(torch.optim.Adam, lr=LEARNING_RATE, fused=fused)
        self.optimizer = adam(self.weights.values()) if learns else None
        self.beginning = [weight.detach().clone() for weight in self.weights.values()]

    def step(self) -> float:
        """One step of training."""
        for weight in self.weights.values():
            weight.grad = None
        loss = self.task.loss(self.forward())
        loss.backward()
        if self.optimizer is not None:
            self.optimizer.step()
        return loss.item()

    def reset(self) -> None:
        """Restore the initial weights, and an optimiser that has made no step, in the memory that both have."""
        with torch.no_grad():
            for weight, initial in zip(self.weights.values(), self.beginning, strict=True):
                weight.copy_(initial)
            for state in [] if self.optimizer is None else self.optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradients of all weights, in the task's order; 0 if there is none."""
        return {
            name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
            for name, weight in self.weights.items()
        }


def copied(module: Any, weight: Tensor, bias: Tensor | None = None) -> Any:
    """Copy a weight and a bias into a module and return it; without a bias, the module's own becomes 0."""
    with torch.no_grad():
        module.weight.copy_(weight)
        if module.bias is not None:
            module.bias.zero_() if bias is None else module.bias.copy_(bias)
    return module


def rates_by_hooks(modules: Iterable[nn.Module], forward: Callable[[], Tensor]) -> list[float]:
    """Compute the mean output of each module of neurons over one forward pass, which may call it many times.

    Of a module that returns a tuple, the output is the first member.
    """
    modules = list(modules)
    means: list[list[float]] = [[] for _ in modules]

    def hook_into(own_means: list[float]) -> Callable[..., None]:
        def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
            spikes = output[0] if isinstance(output, tuple) else output
            own_means.append(spikes.float().mean().item())

        return note

    handles = [module.register_forward_hook(hook_into(own)) for module, own in zip(modules, means, strict=True)]
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return [sum(rates) / len(rates) for rates in means]


class ConvLayer(nn.Module):
    """A convolution without padding, a maximum over 2x2 and neurons; images are flat, [C H W].

    `stage`: whose weights are copied; `neuron`: of this layer alone; `image`: channels, height and width of what
    arrives.
    """

    recurrence = "none"
    cut = False
    recurrent = None

    def __init__(self, stage: Stage, neuron: Neuron, image: Image) -> None:
        super().__init__()
        self.name = stage.name
        self.neuron = neuron
        self.image = image
        self.weight = nn.Parameter(stage.weight.clone())
        self.bias = nn.Parameter(stage.bias.clone())

    @property
    def image_out(self) -> Image:
        """Channels, height and width of what is handed on."""
        rows, columns = ((side - KERNEL + 1) // POOL for side in self.image[1:])
        return len(self.weight), rows, columns

    def synapses(self) -> None:
        """No matrix."""

    def current(self, x: Tensor) -> Tensor:
        """Convolve flat images [..., C H W], and pool them to smaller ones."""
        images = x.reshape(-1, *self.image)
        return max_pool2d(conv2d(images, self.weight, self.bias), POOL).reshape(*x.shape[:-1], -1)

    def current_of_events(self, signal: Signal) -> Tensor:
        return convolve(signal, Convolution(self.image, self.weight, self.bias, pool=POOL))

    def feedback(self, s: Tensor) -> Tensor:
        return torch.zeros_like(s)


def build_sgbench(task: Task, *, engine: str) -> TorchContender:
    """Build a task's network on one of our engines; sparse input is packed here, outside of what is timed."""
    layers = _layers(task)
    runner = Engine(engine)
    x = task.x.flatten(2)
    signal: Signal = x if task.sizes.density is None else SparseSpikes.of(x)

    def forward() -> Tensor:
        return runner.unroll(layers, signal, keep_spikes=False)[-1].output  # type: ignore[return-value]

    def rates() -> list[float]:
        with torch.no_grad():
            runs = runner.unroll(layers, signal)
        return [
            run.output.mean().item()  # type: ignore[union-attr]
            for run, stage in zip(runs, task.stages, strict=True)
            if stage.fires
        ]

    weights = {}
    for layer in layers:
        weights |= {f"{layer.name}.weight": layer.weight, f"{layer.name}.bias": layer.bias}
        if layer.recurrent is not None:
            weights[f"{layer.name}.recurrent"] = layer.recurrent
    return TorchContender(task, forward, weights, rates, fused=True)


def _layers(task: Task) -> list[ConvLayer | DenseLayer]:
    """Build sgbench's layers of a task; each convolution takes images of the size that the one before hands on."""
    layers: list[ConvLayer | DenseLayer] = []
    image: Image = tuple(task.x.shape[2:])  # type: ignore[assignment]
    for stage in task.stages:
        neuron = _sgbench_neuron(fires=stage.fires)
        if stage.kind == "conv":
            layer = ConvLayer(stage, neuron, image)
            layers.append(layer)
            image = layer.image_out
        else:
            layers.append(_dense_layer(stage, neuron))
    return layers


def _dense_layer(stage: Stage, neuron: Neuron) -> DenseLayer:
    n_out, n_in = stage.weight.shape
    recurrence = "none" if stage.recurrent is None else "all_to_all"
    layer = DenseLayer(stage.name, n_in, n_out, neuron, recurrence=recurrence, bias=True)
    layer = layer.to(stage.weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(stage.weight)
        layer.bias.copy_(stage.bias)  # type: ignore[union-attr]
        if stage.recurrent is not None:
            layer.recurrent.copy_(stage.recurrent)  # type: ignore[union-attr]
    return layer


def _sgbench_neuron(*, fires: bool) -> Neuron:
    if not fires:
        return LeakyReadout(beta=BETA, learn_beta="none")
    return Leaky(
        Atan(alpha=2.0, width_fwhm=None, normalisation="raw", scale=1.0),
        beta=BETA,
        threshold=THRESHOLD,
        reset="subtract",
        reset_gradient="detached",
        learn_beta="none",
        learn_threshold="none",
    )


def torch_product(stage: Stage) -> nn.Module:
    """Build a stage's product, with pooling behind a convolution, from torch's own modules; it takes [B, ...]."""
    if stage.kind == "conv":
        n_out, n_in = stage.weight.shape[:2]
        conv = copied(nn.Conv2d(n_in, n_out, KERNEL, dtype=stage.weight.dtype), stage.weight, stage.bias)
        return nn.Sequential(conv, nn.MaxPool2d(POOL))
    n_out, n_in = stage.weight.shape
    return nn.Sequential(
        nn.Flatten(), copied(nn.Linear(n_in, n_out, dtype=stage.weight.dtype), stage.weight, stage.bias)
    )


def synapses(product: nn.Module) -> nn.Module:
    """Return the one module of a product that has weights."""
    return next(module for module in product.modules() if isinstance(module, nn.Linear | nn.Conv2d))


def product_weights(task: Task, products: nn.ModuleList) -> dict[str, nn.Parameter]:
    """Return weights and biases of all products by the names that gradients are compared under."""
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
        self.neurons = nn.ModuleList([_snntorch_neuron(stage) for stage in task.stages])

    def forward(self, x: Tensor) -> Tensor:
        """Output of the last stage [T, B, C] for x [T, B, ...]."""
        return self._hoisted(x) if self.hoisted else self._step_by_step(x)

    def _step_by_step(self, x: Tensor) -> Tensor:
        states = [neuron.reset_mem() for neuron in self.neurons]  # type: ignore[operator]
        outputs = []
        for step in range(x.shape[0]):
            signal = x[step]
            for position, product in enumerate(self.products):
                signal, states[position] = self._advance(position, product(signal), states[position])
            outputs.append(signal)
        return torch.stack(outputs)

    def _hoisted(self, x: Tensor) -> Tensor:
        for position, product in enumerate(self.products):
            currents = product(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            state = self.neurons[position].reset_mem()  # type: ignore[operator]
            outputs = []
            # unbind: currents[t] would fill a gradient of all steps with zeros in each step.
            for current in currents.unbind(0):
                output, state = self._advance(position, current, state)
                outputs.append(output)
            x = torch.stack(outputs)
        return x

    def _advance(
        self, position: int, current: Tensor, state: Tensor | tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor | tuple[Tensor, Tensor]]:
        """Run one step of one layer; return what it hands on, and its next state."""
        stage, neuron = self.stages[position], self.neurons[position]
        if stage.recurrent is not None:
            spikes, potential = neuron(current, *state)
            return spikes, (spikes, potential)
        spikes, potential = neuron(current, state)
        return spikes if stage.fires else potential, potential


def _snntorch_neuron(stage: Stage) -> nn.Module:
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


def build_snntorch(task: Task, *, hoisted: bool) -> TorchContender:
    """Build a task's network from snnTorch's classes; `hoisted`: whether each product is made once for all steps."""
    network = SnnTorchNet(task, hoisted=hoisted)
    weights = product_weights(task, network.products)
    for stage, neuron in zip(task.stages, network.neurons, strict=True):
        if stage.recurrent is not None:
            weights[f"{stage.name}.recurrent"] = neuron.recurrent.weight  # type: ignore[union-attr]
    firing = [neuron for stage, neuron in zip(task.stages, network.neurons, strict=True) if stage.fires]
    return TorchContender(
        task, lambda: network(task.x), weights, lambda: rates_by_hooks(firing, lambda: network(task.x))
    )
