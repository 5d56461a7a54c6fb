"""Firing rates and silent neurons of each layer, epoch by epoch."""

import contextlib
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import RunningStage
from torch import Tensor, nn

from sgbench.callbacks.curves import Curves, require_spiking_layers
from sgbench.errors import InputError, require_choice
from sgbench.networks.watching import Watcher, spiking_modules, takes_all_steps, watched
from sgbench.records.content import SATURATED_RATE

STAGES = {"train": RunningStage.TRAINING, "validate": RunningStage.VALIDATING}


class FiringRates(Curves):
    r"""Logs how often each spiking layer fires, and which share of its neurons is silent or saturated, by epoch.

    .. math:: r_n = \frac{1}{B T} \sum_{b, t} s_{bn}[t]

    is the rate of neuron n over all B samples of the epoch with T steps each. `firing_rate/LAYER` is the mean of r
    over neurons [spikes per step], `silent_fraction/LAYER` the share with r = 0, and `saturated_fraction/LAYER`
    the share with r > 0.9. All steps count; over several processes the counts are summed.

    Args:
        stage: "train" counts in training batches, "validate" in those of validation.

    Raises:
        InputError: when fitting begins, if the module has no spiking layers; after an epoch that called none.

    >>> import snntorch as snn
    >>> from torch.utils.data import DataLoader
    >>> class Net(pl.LightningModule):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.dense, self.leaky = nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True)
    ...     def training_step(self, batch, batch_idx):
    ...         self.leaky.reset_mem()
    ...         return sum(self.leaky(self.dense(batch)).square().mean() for _ in range(5))
    ...     def configure_optimizers(self):
    ...         return torch.optim.SGD(self.parameters(), lr=0.1)
    >>> rates = FiringRates()
    >>> quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    >>> trainer = pl.Trainer(max_epochs=1, callbacks=[rates], enable_model_summary=False, accelerator="cpu", **quiet)
    >>> trainer.fit(Net(), DataLoader(torch.ones(8, 4), 4))
    >>> sorted(rates.curves)
    ['firing_rate/leaky', 'saturated_fraction/leaky', 'silent_fraction/leaky']
    """

    picture = "firing_rates"

    def __init__(self, *, stage: Literal["train", "validate"] = "train") -> None:
        super().__init__()
        self.stage = require_choice("stage", stage, tuple(STAGES))
        self._counts: dict[str, Tensor] = {}  # spikes of each neuron, and behind them samples times steps
        self._hooks = contextlib.ExitStack()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Watch the spiking layers."""
        require_spiking_layers(pl_module)
        stage = STAGES[self.stage]

        def counting(name: str) -> Watcher:
            def count(layer: nn.Module, _: Tensor, output: Any) -> None:
                if trainer.state.stage == stage:
                    self._count(name, layer, output[0] if isinstance(output, tuple) else output)

            return Watcher(count)

        self._counts.clear()
        self._hooks.enter_context(watched({layer: counting(name) for name, layer in spiking_modules(pl_module)}))

    def _count(self, name: str, layer: nn.Module, spikes: Tensor) -> None:
        """Add a layer's output [B, ...] of one step, or [T, B, ...] of one that takes all steps, to its counts."""
        spikes = spikes.detach().flatten(0, 1) if takes_all_steps(layer) else spikes.detach()
        sent = torch.count_nonzero(spikes, 0).flatten()  # by neuron
        counts = torch.cat([sent, sent.new_tensor([len(spikes)])])
        self._counts[name] = counts if name not in self._counts else self._counts[name] + counts

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch of training."""
        if self.stage == "train":
            self._log(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the validation."""
        if self.stage == "validate" and trainer.state.stage == STAGES["validate"]:
            self._log(trainer, pl_module)

    def _log(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log rates and fractions of each layer from its counts, summed over processes, and begin to count anew."""
        if not self._counts:
            raise InputError(
                f"FiringRates: no spiking layer of {type(pl_module).__name__} was called as a module in stage "
                f"'{self.stage}'"
            )
        numbers = {}
        for name, counts in self._counts.items():
            *sent, points = trainer.strategy.reduce(counts, reduce_op="sum").unbind()
            rates = torch.stack(sent).double() / points
            layer = name or type(pl_module).__name__
            numbers[f"firing_rate/{layer}"] = rates.mean().item()
            numbers[f"silent_fraction/{layer}"] = (rates == 0).double().mean().item()
            numbers[f"saturated_fraction/{layer}"] = (rates > SATURATED_RATE).double().mean().item()
        self._counts.clear()
        self.add(trainer, numbers)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop watching, and send the picture."""
        self._hooks.close()
        super().on_fit_end(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop watching."""
        self._hooks.close()
