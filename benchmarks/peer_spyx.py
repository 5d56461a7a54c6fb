"""spyx on JAX: the whole training step compiled, its own scan over time."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
import spyx
import spyx.nn as sn
from flax import nnx
from torch import Tensor

from benchmarks.workloads import BETA, CHANNELS, KERNEL, LEARNING_RATE, POOL, THRESHOLD, Stage, Task


class MaxPool(nnx.Module):
    """The maximum over 2x2 of [B, H, W, C]."""

    def __call__(self, images: Any) -> Any:
        """Halve both sides."""
        return nnx.max_pool(images, (POOL, POOL), strides=(POOL, POOL))


class Flat(nnx.Module):
    """[B, H, W, C] to [B, C * H * W], the order of the task's weights."""

    def __call__(self, images: Any) -> Any:
        """Channels first."""
        return jnp.moveaxis(images, -1, 1).reshape(images.shape[0], -1)


class SpyxContender:
    """spyx in training; its gradients are not compared.

    It fires from the potential of the step before and lets gradient through the reset.
    """

    same_model = False

    def __init__(self, task: Task) -> None:
        self.task = task
        self.x = _input(task)
        self.target = None if task.target is None else jnp.asarray(task.target.numpy())
        rngs = nnx.Rngs(0)
        self.parts: list[list[Any]] = []
        shape = tuple(self.x.shape[2:])
        for stage in task.stages:
            product, shape = _product(stage, shape, rngs)
            self.parts.append([*product, _neurons(stage, shape, rngs)])
        self.model = sn.Sequential(*(part for stage in self.parts for part in stage))
        self.optimizer = nnx.Optimizer(self.model, optax.adam(LEARNING_RATE), wrt=nnx.Param)
        self.compiled = _train_step(task)
        self.beginning = [jax.tree.map(jnp.copy, nnx.state(part)) for part in (self.model, self.optimizer)]

    def step(self) -> float:
        loss, grads = self.compiled(self.model, self.optimizer, self.x, self.target)
        jax.block_until_ready(grads)
        return float(loss)

    def reset(self) -> None:
        """Put the initial arrays back, which stay as they were, since JAX never changes arrays in place."""
        for part, initial in zip((self.model, self.optimizer), self.beginning, strict=True):
            nnx.update(part, initial)

    def gradients(self) -> dict[str, Tensor]:
        return {}

    def rates(self) -> list[float]:
        rates, signal = [], self.x
        for stage, parts in zip(self.task.stages, self.parts, strict=True):
            signal, _ = sn.run(sn.Sequential(*parts), signal)
            if stage.fires:
                rates.append(float(signal.mean()))
        return rates


def _train_step(task: Task) -> Any:
    """Return the compiled function of a training step; without classes it has no optimiser, as for all contenders."""
    mean = not task.stages[-1].fires

    @nnx.jit
    def train(model: Any, optimizer: Any, x: Any, target: Any) -> Any:
        def loss_of(model: Any) -> Any:
            output, _ = sn.run(model, x)
            if target is None:
                return output.sum()
            logits = output.mean(0) if mean else output.sum(0)
            return optax.softmax_cross_entropy_with_integer_labels(logits, target).mean()

        loss, grads = nnx.value_and_grad(loss_of)(model)
        if target is not None:
            optimizer.update(model, grads)
        return loss, grads

    return train


def _input(task: Task) -> Any:
    """Return the input as JAX's array [T, B, N], or with channels last [T, B, H, W, C]."""
    x = task.x if task.x.dim() == 3 else task.x.permute(0, 1, 3, 4, 2)  # noqa: PLR2004 - T, B, N
    return jnp.asarray(x.contiguous().numpy())


def _product(stage: Stage, shape: tuple[int, ...], rngs: Any) -> tuple[list[Any], tuple[int, ...]]:
    """Build a stage's product for inputs of a shape without batch; return its modules and the shape of its output."""
    weight, bias = stage.weight.numpy(), jnp.asarray(stage.bias.numpy())
    if stage.kind == "conv":
        n_out, n_in = weight.shape[:2]
        conv = nnx.Conv(n_in, n_out, (KERNEL, KERNEL), padding="VALID", rngs=rngs)
        conv.kernel[...] = jnp.asarray(weight.transpose(2, 3, 1, 0))
        conv.bias[...] = bias
        side = (shape[0] - KERNEL + 1) // POOL
        return [conv, MaxPool()], (side, side, n_out)
    n_out, n_in = weight.shape
    linear = nnx.Linear(n_in, n_out, rngs=rngs)
    linear.kernel[...] = jnp.asarray(weight.T)
    linear.bias[...] = bias
    return [Flat(), linear] if shape[-1:] == CHANNELS[-1:] and len(shape) > 1 else [linear], (n_out,)


def _neurons(stage: Stage, shape: tuple[int, ...], rngs: Any) -> Any:
    """Build a stage's neurons of this shape, with its recurrent weights if it has some."""
    if not stage.fires:
        return sn.LI(shape, beta=BETA, rngs=rngs)
    options = {"beta": BETA, "threshold": THRESHOLD, "activation": spyx.axn.arctan(), "rngs": rngs}
    if stage.recurrent is None:
        return sn.LIF(shape, **options)
    cell = sn.RLIF(shape, **options)
    cell.recurrent_w[...] = jnp.asarray(stage.recurrent.numpy().T)
    return cell
