"""Gives the spiking layers of a snnTorch network another surrogate, or a gradient through their reset, in place."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.diagnosis.advice import HIGH_PEAK
from sgbench.errors import InputError, require_choice, require_number
from sgbench.networks.watching import (
    RESET_METHODS,
    ResetGradient,
    is_snntorch,
    reset_gradient_of,
    set_reset_gradient,
    takes_all_steps,
)
from sgbench.surrogates.base import Surrogate
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table
from sgbench.training.creation import create
from sgbench.yours.snntorch_neurons import surrogate_of


def use(
    network: nn.Module,
    *,
    surrogate: str | Callable[[Tensor], Tensor] | None = None,
    width_fwhm: float | None = None,
    reset_gradient: ResetGradient | None = None,
) -> Used:
    r"""Set the surrogate and the gradient of the reset of every spiking layer of a snnTorch network, in place.

    snnTorch detaches the spikes s that reset a potential u to :math:`u' = \beta u + I - \theta s`. If they are
    attached, with the surrogate's slope :math:`\psi`,

    .. math:: \frac{\partial u'}{\partial u} = \beta - \theta \, \psi(u - \theta) .

    Spikes and potentials stay as they are, and so do the names in `state_dict`. Copies of the network keep the
    settings, and so does its pickle; `sgbench.accelerate` follows them. `restore()` of what is returned, or the end
    of a `with` block, sets back what was there.

    A slope times threshold of 5 and more with an attached reset lost accuracy where we tried it, and warns. Up to 1
    the attached reset helped; what it does between 1 and 5 is not known.

    Args:
        network: with snnTorch's spiking layers as modules.
        surrogate: name in the catalogue, or a function for `spike_grad`, each layer with a copy of its own; None
            keeps those of the network.
        width_fwhm: full width at half maximum of the slope [units of the potential]; None keeps the surrogate's.
        reset_gradient: "attached" or "detached"; None keeps it.

    Returns:
        What undoes it, which is a context manager that gives the network.

    Raises:
        InputError: an unknown name, a width that the surrogate cannot have, or a network without such layers.

    Source: the reset of Zenke & Vogels 2021 (Neural Computation 33(4)), who detach it; `sgbench.recommend` says
    when to attach it.

    >>> import snntorch as snn
    >>> network = nn.Sequential(nn.Linear(2, 3), snn.Leaky(beta=0.9, init_hidden=True))
    >>> use(network, surrogate="atan", width_fwhm=0.5, reset_gradient="attached")
    layers  surrogate                 reset
    1       atan (width 0.5, peak 1)  attached
    >>> with use(network, reset_gradient="detached") as detached:
    ...     reset_gradient_of(detached[1])
    'detached'
    >>> reset_gradient_of(network[1])
    'attached'
    """
    if surrogate is None and width_fwhm is None and reset_gradient is None:
        raise InputError("use: nothing to set; give surrogate=, width_fwhm= or reset_gradient=")
    if reset_gradient is not None:
        require_choice("reset_gradient", reset_gradient, ("attached", "detached"))
    if width_fwhm is not None:
        require_number("width_fwhm", width_fwhm, low=0, open_low=True)
    layers = {name: module for name, module in network.named_modules() if is_snntorch(module)}
    if not layers:
        raise InputError(
            f"use: {type(network).__name__} has no spiking layer of snnTorch, such as snn.Leaky, among its modules"
        )
    if isinstance(surrogate, str):
        width: dict[str, Any] = {} if width_fwhm is None else {"width_fwhm": float(width_fwhm)}
        surrogate, width_fwhm = create(f"surrogate/{surrogate}", **width), None
    if surrogate is not None and not callable(surrogate):
        raise InputError(f"surrogate={surrogate!r}: a name such as 'atan', or a function for spike_grad, is needed")
    if surrogate is None and width_fwhm is None and not any(map(has_reset, layers.values())):
        raise InputError(
            f"use: no spiking layer of {type(network).__name__} has a reset; give surrogate= or width_fwhm="
        )
    changes = [
        _Change(name, layer, *_new_settings(name, layer, surrogate, width_fwhm, reset_gradient))
        for name, layer in layers.items()
    ]
    return Used(network, changes)


class _Change(NamedTuple):
    """Holds what one layer gets; None keeps what it has."""

    name: str
    layer: Any
    spike_grad: Any
    reset_gradient: ResetGradient | None


class Used(ShownTable):
    """Shows what `sgbench.use` has set on a network, and sets back what was there before."""

    def __init__(self, network: nn.Module, changes: list[_Change]) -> None:
        self.network = network
        self._changes = changes
        self._before = [_settings(change.layer) for change in changes]
        for _, layer, spike_grad, reset_gradient in changes:
            if spike_grad is not None:
                _set_spike_grad(layer, spike_grad)
            if reset_gradient is not None:
                set_reset_gradient(layer, reset_gradient)
        self._set = [_settings(change.layer) for change in changes]
        self._is_set = True
        _warn_of_high_peaks([(change.name, change.layer) for change in changes])

    def restore(self) -> None:
        """Set back the surrogates and resets from before; a second call does nothing.

        Raises:
            InputError: the layers were changed again since, which has to be undone first.
        """
        if not self._is_set:
            return
        for change, settings in zip(self._changes, self._set, strict=True):
            if any(now is not then for now, then in zip(_settings(change.layer), settings, strict=True)):
                raise InputError(f"use: '{change.name}' was changed again since; restore the later change first")
        for change, (spike_grad, *methods) in zip(self._changes, self._before, strict=True):
            _set_spike_grad(change.layer, spike_grad)
            for name, method in zip(RESET_METHODS, methods, strict=True):
                vars(change.layer).pop(name, None)
                if method is not None:
                    setattr(change.layer, name, method)
        self._is_set = False

    def __enter__(self) -> nn.Module:
        return self.network

    def __exit__(self, *_: object) -> None:
        self.restore()

    def table(self) -> Table:
        """Return a table of surrogate and reset; layers with the same ones share a row."""
        alike: dict[tuple[str, str], list[str]] = {}  # names of layers with equal settings
        for change in self._changes:
            reset = reset_gradient_of(change.layer) if has_reset(change.layer) else "none, left alone"
            settings = _described(change.layer.spike_grad), reset
            alike.setdefault(settings, []).append(change.name or type(change.layer).__name__)
        rows = [(", ".join(names), *settings) for settings, names in alike.items()]
        return plain_table("Layers", [("layers", "surrogate", "reset"), *rows], text_columns=3)


def has_reset(layer: nn.Module) -> bool:
    """Return whether spikes reset a layer's potential; those that take all steps at once have no reset."""
    return not takes_all_steps(layer)


def _settings(layer: Any) -> tuple[Any, ...]:
    """Return a layer's surrogate and the methods of its own that `use` may replace; None where it has none."""
    return layer.spike_grad, *(vars(layer).get(name) for name in RESET_METHODS)


def _new_settings(
    name: str, layer: Any, surrogate: Any, width_fwhm: float | None, reset_gradient: ResetGradient | None
) -> tuple[Any, ResetGradient | None]:
    """Return the surrogate that one layer gets, a copy of its own, and the gradient of its reset; None keeps either."""
    if getattr(layer, "surrogate_disable", False) and (surrogate is not None or width_fwhm is not None):
        raise InputError(f"use: '{name}' was made with surrogate_disable=True; make it without, then set one")
    own = copy.deepcopy(surrogate)
    if width_fwhm is not None:
        own = copy.deepcopy(surrogate_of(layer)) if own is None else own
        _set_width(name, own, width_fwhm)
    used = layer.spike_grad if own is None else own
    if not has_reset(layer):
        return own, None
    gradient = reset_gradient or reset_gradient_of(layer)
    elementwise = getattr(used, "elementwise", True)
    if gradient == "attached" and not elementwise:
        raise InputError(
            f"use: {_described(used)} takes its slope from a whole batch of gradients, which a reset would pull "
            f"back twice; use reset_gradient='detached', or surrogate='atan'"
        )
    # The reset of our own calls no surrogate that counts its steps.
    return own, reset_gradient if elementwise else gradient


def _set_width(name: str, surrogate: Any, width_fwhm: float) -> None:
    """Make a surrogate as wide as asked, with its shape and height."""
    width = surrogate.fwhm if isinstance(surrogate, Surrogate) else None
    if not width:
        raise InputError(
            f"use: the surrogate of '{name}' has no width that could be set; name one of the catalogue, e.g. "
            f"surrogate='atan'"
        )
    surrogate.reshape(width=width_fwhm / width)


def _set_spike_grad(layer: Any, spike_grad: Any) -> None:
    if hasattr(layer, "spike_grad"):
        del layer.spike_grad  # torch refuses a function in the place of a module
    layer.spike_grad = spike_grad


def _peak(spike_grad: Any) -> float:
    """Return the largest slope of a surrogate; that of a function is found at 4,001 potentials within 8."""
    if isinstance(spike_grad, Surrogate) and spike_grad.peak is not None:
        return spike_grad.peak
    grid = torch.linspace(-8, 8, 4001).requires_grad_()
    with torch.enable_grad():
        sent = spike_grad(grid)
    if not sent.requires_grad:
        return 0.0
    (slope,) = torch.autograd.grad(sent.sum(), grid)
    return float(slope.nan_to_num(0.0).abs().max())  # snnTorch's sigmoid is NaN far below


def _described(spike_grad: Any) -> str:
    """Name a surrogate with its width and peak, as far as they are known."""
    if not isinstance(spike_grad, Surrogate):
        return str(getattr(spike_grad, "__qualname__", type(spike_grad).__name__)).partition(".")[0]
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(spike_grad).__name__).lower()
    sizes = (("width", spike_grad.fwhm), ("peak", spike_grad.peak))
    words = ", ".join(f"{word} {value:.3g}" for word, value in sizes if value is not None)
    return f"{name} ({words})" if words else name


def _warn_of_high_peaks(layers: list[tuple[str, Any]]) -> None:
    """Warn if a reset passes the gradient through a steep slope."""
    high = {}
    for name, layer in layers:
        peak = _peak(layer.spike_grad) * float(torch.as_tensor(layer.threshold).detach().abs().max())
        if reset_gradient_of(layer) == "attached" and peak >= HIGH_PEAK:
            high[name] = peak
    if high:
        warnings.warn(
            f"use: the reset of {', '.join(map(repr, high))} is attached to a slope that is "
            f"{max(high.values()):.3g} at its peak. Peaks of {HIGH_PEAK:g} and more lost accuracy that way; take "
            f"one of peak 1, e.g. surrogate='sigmoid', width_fwhm=0.5, or reset_gradient='detached'",
            UserWarning,
            stacklevel=4,
        )
