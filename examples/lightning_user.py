"""A LightningModule of one's own with sgbench's surrogate, data, callbacks and metrics, in two processes, in bfloat16.

python examples/lightning_user.py --folder out --devices 2
"""

import argparse
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import snntorch as snn
import torch
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

import sgbench
from sgbench.callbacks import EarlyWarning, EnergyOnChips, FiringRates, GradientFlow
from sgbench.metrics import EnergyPerInference, SpikeRate


class Spiking(pl.LightningModule):
    """Sums the potentials of a readout behind one layer of `snn.Leaky`."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        surrogate = sgbench.create("surrogate/atan", width_fwhm=1.0)
        self.hidden, self.leaky = nn.Linear(n_inputs, 64), snn.Leaky(beta=0.9, spike_grad=surrogate)
        self.readout = nn.Linear(64, n_outputs)
        self.accuracy, self.rate = MulticlassAccuracy(n_outputs), SpikeRate()

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return class scores [B, C] and hidden spikes [T, B, N] of input [T, B, channels]."""
        membrane, sent = self.leaky.reset_mem(), []
        for now in x:
            spikes, membrane = self.leaky(2 * self.hidden(now), membrane)
            sent.append(spikes)
        spikes = torch.stack(sent)
        return self.readout(spikes).sum(0), spikes

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores [B, C]."""
        return self.run(x)[0]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the cross-entropy of a batch."""
        x, target = batch
        return nn.functional.cross_entropy(self(x), target)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Update the metrics, which sum over batches and processes."""
        x, target = batch
        scores, spikes = self.run(x)
        self.accuracy(scores, target)
        self.rate(spikes)
        loss = nn.functional.cross_entropy(scores, target)
        self.log_dict({"val/accuracy": self.accuracy, "val/spike_rate": self.rate}, on_epoch=True, on_step=False)
        self.log("val/loss", loss, sync_dist=True, batch_size=len(target))

    def configure_optimizers(self) -> Any:
        """Return Adam with a rate that halves after five epochs."""
        optimizer = torch.optim.Adam(self.parameters(), lr=5e-3)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.5)]


class Announce(pl.Callback):
    """Prints a line after each validation: a callback of one's own."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch and its accuracy."""
        if trainer.is_global_zero and not trainer.sanity_checking:
            print(f"epoch {trainer.current_epoch}: {trainer.callback_metrics['val/accuracy']:.3f}", flush=True)


def main() -> None:
    """Train, and print the energy of an inference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("lightning_user"))
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    pl.seed_everything(0)
    data = sgbench.data("digits")
    network = Spiking(data.n_inputs, data.n_outputs)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=args.devices,
        strategy="ddp_spawn" if args.devices > 1 else "auto",
        precision="bf16-mixed",
        max_epochs=args.epochs,
        log_every_n_steps=5,
        enable_progress_bar=False,
        logger=CSVLogger(args.folder, name=None, version="csv"),
        callbacks=[
            FiringRates(),
            GradientFlow(every_n_steps=10),
            EnergyOnChips(["loihi1", "horowitz_45nm"]),
            EarlyWarning(every_n_steps=10),
            Announce(),
            EarlyStopping("val/loss", patience=3),
            ModelCheckpoint(args.folder / "checkpoints", monitor="val/accuracy", mode="max"),
            LearningRateMonitor(),
        ],
    )
    trainer.fit(network, datamodule=data)
    data.setup()
    x, _ = next(iter(data.val_dataloader()))
    energy = EnergyPerInference("loihi1", partial=True)
    energy.update(sgbench.energy_of(network, x, input_kind="binary", targets=["loihi1"]).counts)
    print(f"on loihi1: {energy.compute():.1f} nJ an inference", flush=True)


if __name__ == "__main__":  # processes that are spawned import this file
    main()
