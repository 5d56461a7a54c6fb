"""Chooses a surrogate's width by passing steps, for a run or for a user's own module."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from sgbench.composition.compose import compose
from sgbench.diagnosis.passing import passing_steps, width_for
from sgbench.errors import InputError, require_number
from sgbench.recommendation.start import recurrent_layers
from sgbench.records.calibration import AUTO, Calibration, Reset
from sgbench.surrogates.base import Surrogate
from sgbench.training.calibration import TARGETS, WIDTH, calibration_of, layer_steps
from sgbench.training.creation import create


class ModuleCalibration(Calibration):
    """Holds a width for a module of the user's own, and shows what to type."""

    surrogate: str

    def __str__(self) -> str:
        call = f'surrogate="{self.surrogate}", {self.word}, reset_gradient="{self.reset_gradient}"'
        return f"sgbench.use(net, {call})\n{self.about}"


def calibrate(
    *overrides: str,
    network: nn.Module | None = None,
    batch: Any = None,
    surrogate: str = "atan",
    target: float | None = None,
    reset_gradient: Reset = "attached",
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> Calibration:
    """Find the width at which a recurrent network passes its gradient back through a given number of steps.

    Passing steps are the surrogate's slopes, relative to its peak, summed over the time steps of a sequence. The
    width is one number for all layers, measured in one forward pass before training. A run is measured with the
    weights and training data of the first tuning seed, so that no reported seed is used; a module with its current
    weights. The override `width_fwhm=auto` does the same at the start of a run.

    >>> import torch
    >>> from snntorch import RLeaky
    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.into, self.hidden = torch.nn.Linear(8, 16), RLeaky(beta=0.9, linear_features=16)
    ...
    ...     def forward(self, x):
    ...         spikes, state = self.hidden.reset_mem()
    ...         for now in x:
    ...             spikes, state = self.hidden(self.into(now), spikes, state)
    ...         return spikes
    >>> found = calibrate(network=Net(), batch=torch.rand(20, 4, 8).round())
    >>> found.target, found.width_fwhm > 0
    (2.8, True)

    Args:
        overrides: Hydra overrides of a run, e.g. "experiment=fsdd_v2", "surrogate=triangle".
        network: in place of overrides, your own module with snnTorch's recurrent neurons, e.g. `snn.RLeaky`.
        batch: input of `network`, from the training data, in the shape that its `forward` takes.
        surrogate: name in the catalogue of the surrogate for `network`; overrides name their own.
        target: number of passing steps; None takes the best of the study of surrogates, which depends on whether
            the reset passes a gradient.
        reset_gradient: of `network` when it trains, which `sgbench.use` sets; overrides name their own.
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Returns:
        The width and how it was found; `word` is the override to type, and it prints itself.

    Raises:
        InputError: passing steps choose no width for such a network; one line that says why.
    """
    if bool(overrides) == (network is not None) or (network is None) != (batch is None):
        raise InputError("calibrate: give the overrides of a run, or network=... and batch=..., input that it takes")
    if target is not None:
        require_number("target", target, low=0, open_low=True)
    if network is not None:
        made = create(f"surrogate/{surrogate}", width_fwhm=1.0)
        return calibrate_module(network, batch, made, target, reset_gradient, name=surrogate)
    others = [override for override in overrides if override.partition("=")[0] != WIDTH]
    spec = compose([*others, f"{WIDTH}={AUTO}"], config_dirs=config_dirs, allow_targets=allow_targets)
    return calibration_of(spec, target)


def calibrate_module(
    network: nn.Module,
    batch: Any,
    surrogate: Surrogate,
    target: float | None = None,
    reset_gradient: Reset = "detached",
    *,
    name: str = "atan",
) -> ModuleCalibration:
    """Choose a surrogate's width from a forward pass of a user's module; InputError if no recurrent layer fires."""
    layers, samples, fired = recurrent_layers(network, batch)
    if not fired:
        raise InputError(
            f"calibrate: no recurrent neuron fires in the batch ({', '.join(layer.name for layer in layers)}), so that "
            f"nothing is passed on; make the layer with a lower threshold, e.g. threshold=0.5, or begin with larger "
            f"weights before it, e.g. weight.data.mul_(3)"
        )
    wanted = TARGETS[reset_gradient] if target is None else target
    width = width_for(layers, surrogate, wanted)
    surrogate.reshape(width=width / float(surrogate.fwhm or 1.0))
    return ModuleCalibration(
        width_fwhm=width,
        target=wanted,
        reset_gradient=reset_gradient,
        seed=None,
        samples=samples,
        layers=layer_steps(layers, [passing_steps(layer, surrogate) for layer in layers]),
        surrogate=name,
    )
