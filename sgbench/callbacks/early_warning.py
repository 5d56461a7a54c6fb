"""Warns while a network trains that it will not learn: of explosion, silence, vanishing and guessing."""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from sgbench.callbacks.recorded import RecordedBatches
from sgbench.diagnosis.advice import OF_MODULES, explodes, is_cut_off, is_silent, overflows
from sgbench.diagnosis.modules import ModuleRecorder
from sgbench.errors import require_count
from sgbench.plots import style
from sgbench.records.diagnosis import Diagnosis, LayerDiagnosis

Fault = Literal["explosion", "silence", "vanishing", "guessing"]
FEWEST_JUDGED, SIGNIFICANT = 8, 0.05  # batches whose losses are compared, and level of the test


class Warned(NamedTuple):
    """Holds one warning."""

    step: int  # optimiser steps done before it
    fault: Fault
    layer: str  # name of the first layer that shows it; empty where the whole network does
    text: str  # a sentence with a remedy


class EarlyWarningIssued(UserWarning):
    """Says that a network will probably not learn as it is."""


class EarlyWarning(RecordedBatches):
    r"""Warns of four faults that keep a network from learning, while it trains.

    - *explosion*: the loss, a weight or a gradient is not finite, or the gradient grows exponentially back in time.
    - *silence*: no neuron of a layer fires, or fewer than a fifth do, so that little is passed on.
    - *vanishing*: almost no gradient reaches a layer.
    - *guessing*: all samples bring a network the same current or leave a layer with the same spikes; or after
      `judged_after` batches the losses of the last quarter are not significantly below those of the first (Welch's
      test at 5 %).

    Each fault is warned of once, in the order above, the cause before what follows from it. It is an
    `EarlyWarningIssued` among Python's warnings, `early_warning/FAULT` at the loggers, and a `Warned` in `warned`.

    Args:
        every_n_steps: how many batches from one recorded batch to the next; the first batch is recorded.
        judged_after: count of batches after which the loss has to have fallen; not judged where training goes on
            from a checkpoint.
        stop: whether to end the training at the first warning.

    Raises:
        InputError: when fitting begins, if the module has no spiking layers; a count that is too small.

    >>> EarlyWarning(stop=True).warned
    []
    """

    picture = "early_warning"

    def __init__(self, *, every_n_steps: int = 50, judged_after: int = 400, stop: bool = False) -> None:
        super().__init__(every_n_steps=every_n_steps)
        require_count("judged_after", judged_after, low=FEWEST_JUDGED)
        self.judged_after = judged_after
        self.stop = stop
        self.warned: list[Warned] = []
        self._losses: list[Tensor] = []

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Note the loss of each of the first batches."""
        super().on_before_backward(trainer, pl_module, loss)
        if len(self._losses) == self.batches < self.judged_after:
            self._losses.append(loss.detach())

    def receive(self, trainer: pl.Trainer, recorder: ModuleRecorder, diagnosis: Diagnosis, *, scale: float) -> None:
        """Look for the faults in a recorded batch, and warn of the first."""
        self.add(trainer, {"loss": math.nan if diagnosis.loss is None else diagnosis.loss})
        self._warn(trainer, next(_faults(diagnosis, recorder), None))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check after a recorded batch that weights are finite, and after `judged_after` batches that losses fall."""
        if self.is_due:
            exploded = [name for name, weight in pl_module.named_parameters() if not bool(weight.isfinite().all())]
            if exploded:
                self._warn(trainer, ("explosion", exploded[0], f"it is not finite: {OF_MODULES.explodes}"))
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if len(self._losses) == self.batches == self.judged_after and not _falls(torch.stack(self._losses)):
            text = (
                f"the loss has not fallen in {self.judged_after} batches: look at the labels and the scale of the "
                f"input, and try a learning rate ten times larger and smaller"
            )
            self._warn(trainer, ("guessing", "", text))

    def _warn(self, trainer: pl.Trainer, warning: tuple[Fault, str, str] | None) -> None:
        """Warn of a fault in a layer with a text, unless that fault was warned of; then stop if that is asked for."""
        if warning is not None and warning[0] not in {warned.fault for warned in self.warned}:
            fault, layer, text = warning
            self.warned.append(Warned(trainer.global_step, fault, layer, text))
            for logger in trainer.loggers:
                logger.log_metrics({f"early_warning/{fault}": 1.0}, step=trainer.global_step)
            message = f"early warning of {fault} at step {trainer.global_step}: {layer}{': ' if layer else ''}{text}"
            warnings.warn(message, EarlyWarningIssued, stacklevel=2)
        if self.stop and self.warned:
            trainer.should_stop = True

    def plot(self) -> Any:
        """Draw the loss at recorded batches, with a line at each warning; return the matplotlib figure."""
        figure = super().plot()
        for warned in self.warned:
            figure.axes[0].axvline(warned.step, color=style.VERMILION, linewidth=1)
            figure.axes[0].annotate(warned.fault, (warned.step, 1), xycoords=("data", "axes fraction"), va="bottom")
        return figure

    def state_dict(self) -> dict[str, Any]:
        """Return warnings, curves and the count of batches, for a checkpoint."""
        return {**super().state_dict(), "warned": [tuple(warned) for warned in self.warned]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them from a checkpoint."""
        super().load_state_dict(state_dict)
        self.warned = [Warned(*warned) for warned in state_dict["warned"]]


def _faults(diagnosis: Diagnosis, recorder: ModuleRecorder) -> Iterator[tuple[Fault, str, str]]:
    """Yield the faults that a recorded batch shows, causes first: the fault, the layer, a sentence."""
    if diagnosis.loss is None:
        yield "explosion", "", f"the loss is not finite: {OF_MODULES.explodes}"
    facts, alike, last = recorder.facts(), recorder.alike(), diagnosis.layers[-1]

    def mostly_silent(layer: LayerDiagnosis) -> bool:
        return layer.name not in facts.unheard and (layer.dead_fraction or 0.0) > OF_MODULES.most_silent

    kinds: list[tuple[Fault, Callable[[LayerDiagnosis], bool], str]] = [
        (
            "explosion",
            lambda layer: overflows(layer) or explodes(layer, facts.attached),
            f"its gradient grows without end: {OF_MODULES.explodes}",
        ),
        (
            "guessing",
            lambda layer: layer.name in facts.equal_input,
            "all samples bring it the same current: look at the input and its scale",
        ),
        ("silence", lambda layer: is_silent(layer, facts.unheard), f"none of its neurons fires: {OF_MODULES.silent}"),
        (
            "guessing",
            lambda layer: layer.name in alike,
            f"it sends the same spikes for all samples: {OF_MODULES.saturated}",
        ),
        (
            "vanishing",
            lambda layer: is_cut_off(layer, last),
            f"almost no gradient reaches it: look for detach(), or {OF_MODULES.dead}",
        ),
        ("silence", mostly_silent, f"four in five of its neurons never fire: {OF_MODULES.silent}"),
    ]
    for fault, has_fault, text in kinds:
        for layer in diagnosis.layers:
            if has_fault(layer):
                yield fault, layer.name, text


def _falls(losses: Tensor) -> bool:
    """Return whether the last quarter of losses is significantly below the first, by Welch's test."""
    from scipy.stats import ttest_ind

    quarter = len(losses) // 4
    values = losses.double().cpu().numpy()
    test: Any = ttest_ind(values[-quarter:], values[:quarter], equal_var=False, alternative="less")
    return bool(test.pvalue < SIGNIFICANT)
