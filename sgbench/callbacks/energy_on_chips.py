"""The energy of an inference on chips, as a network learns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl

from sgbench.callbacks.curves import Curves
from sgbench.energy.price import chosen_targets
from sgbench.energy.priced import PricedNetwork
from sgbench.errors import InputError, require_choice
from sgbench.networks.watching import tensors_in
from sgbench.yours.energy_of import energy_of, no_spikes


class EnergyOnChips(Curves):
    r"""Logs spikes, synaptic operations and energy of an inference after each epoch of training.

    The operations of one forward pass over the epoch's first training batch are counted exactly, by the module's
    own `forward`, in evaluation mode and from rest; `sgbench.energy_of` says how they are priced.
    `spikes_per_sample` and `synaptic_operations_per_sample` are sums over layers, `energy_nj/CHIP` [nJ] is the
    dynamic energy of the operations that have a price, `priced` holds the last table with what has none.

    Args:
        chips: names of energy targets, e.g. ["loihi1", "speck"].
        input_kind: "binary" for spikes, which are 0, 1 or -1; "real" for other numbers; None looks at the batch.
        steps: time steps of a sample; None takes the calls of the network's spiking layers.
        dt_s: duration of a time step [s].
        bits: bits of a weight and of a state variable.
        config_dirs: folders with energy targets of your own.

    Raises:
        InputError: an unknown chip, or none; a batch that `forward` does not take.

    >>> EnergyOnChips(["loihi1", "loihi9"])
    Traceback (most recent call last):
    ...
    fastspiking.errors.InputError: energy target 'loihi9' does not exist; ...
    """

    picture = "energy_on_chips"

    def __init__(
        self,
        chips: Sequence[str],
        *,
        input_kind: Literal["binary", "real"] | None = None,
        steps: int | None = None,
        dt_s: float = 1e-3,
        bits: int = 32,
        config_dirs: Sequence[Path] = (),
    ) -> None:
        super().__init__()
        if not chips:
            raise InputError("EnergyOnChips: no chip is named; sgbench energy list names them")
        chosen_targets(chips, config_dirs)
        if input_kind is not None:
            require_choice("input_kind", input_kind, ("binary", "real"))
        self.input_kind = input_kind
        self.options: dict[str, Any] = {"targets": [*chips], "steps": steps, "dt_s": dt_s, "bits": bits}
        self.options["config_dirs"] = [*config_dirs]
        self.priced: PricedNetwork | None = None
        self._batch: Any = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the input of the epoch's first batch."""
        if batch_idx == 0:
            self._batch = batch[0] if isinstance(batch, tuple | list) else batch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count, price and log."""
        if self._batch is None or not trainer.is_global_zero:
            return
        has_other_numbers = any(no_spikes(x).numel() for x in tensors_in(self._batch))  # than spikes
        kind = self.input_kind or ("real" if has_other_numbers else "binary")
        self.priced = energy_of(pl_module, self._batch, input_kind=kind, **self.options)
        self._batch = None
        counts = self.priced.counts
        spikes = sum(layer.spikes_sent.total or 0 for layer in counts.layers)
        operations = sum(group.effective.total or 0 for layer in counts.layers for group in layer.synapses)
        numbers = {
            "spikes_per_sample": spikes / counts.samples,
            "synaptic_operations_per_sample": operations / counts.samples,
        }
        for estimate in self.priced.estimates:
            if estimate.priced_nj is not None:
                numbers[f"energy_nj/{estimate.target}"] = estimate.priced_nj.value
        self.add(trainer, numbers)
