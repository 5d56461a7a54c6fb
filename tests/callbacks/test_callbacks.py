"""Callbacks of a module of somebody else: numbers as counted by hand and by the diagnosis, at the Trainer's logger."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import snntorch as snn
import torch
from torch import Tensor, nn

import sgbench
from sgbench.callbacks import EarlyWarning, EnergyOnChips, FiringRates, GradientFlow
from sgbench.errors import InputError
from tests.callbacks.modules import Wrapped, fit
from tests.diagnosis.test_planted import HEALTHY
from tests.messages import raises_naming
from tests.run.tiny import WORDS

pytestmark = [
    pytest.mark.usefixtures("no_snntorch_neurons_left"),
    pytest.mark.filterwarnings("ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning"),
]
CASE = HEALTHY["dense, static image"]


def module(lr: float = 0.0) -> Wrapped:
    torch.manual_seed(0)
    return Wrapped(CASE.make(), CASE.loss, lr=lr)


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "csv" / "metrics.csv").read_text().splitlines()))


def test_firing_rates_are_those_that_hooks_count(tmp_path: Path) -> None:
    """Expected: counted here by hooks of torch on the same weights, which a learning rate of 0 keeps; a picture."""
    rates = FiringRates()
    trained = module()
    fit(trained, CASE.batch, [rates], folder=tmp_path)
    sent: list[Tensor] = []
    handle = trained.net.lif[1].register_forward_hook(lambda *call: sent.append(call[-1][0]))  # type: ignore[index]
    trained.net(CASE.batch)
    handle.remove()
    spikes = torch.stack(sent)
    (row,) = rows_of(tmp_path)
    assert float(row["firing_rate/net.lif.1"]) == pytest.approx(spikes.mean().item())
    assert float(row["silent_fraction/net.lif.1"]) == (spikes.sum((0, 1)) == 0).double().mean().item()
    assert rates.curves["firing_rate/net.lif.1"] == [(3, float(row["firing_rate/net.lif.1"]))]
    assert (tmp_path / "csv" / "firing_rates.png").read_bytes().startswith(b"\x89PNG")


def test_gradient_flow_is_that_of_the_diagnosis(tmp_path: Path) -> None:
    """Must match `diagnose_module`, which makes passes of its own; norms, growth and passing steps of all layers."""
    flow = GradientFlow()
    trained = module()
    fit(trained, CASE.batch, [flow], folder=tmp_path)
    found = sgbench.diagnose_module(trained.net, CASE.batch, CASE.loss)
    (row,) = rows_of(tmp_path)
    for layer in found.layers:
        for curve, value in (
            ("gradient_norm", layer.grad_norm),
            ("gradient_growth", layer.log_slope_per_step),
            ("gradient_reach", layer.nonzero_points),
            ("passing_steps", _slopes_of(trained.net, layer.name)),
        ):
            assert float(row[f"{curve}/net.{layer.name}"]) == pytest.approx(value, rel=1e-5)
    assert len(flow.plot().axes) == 4


def _slopes_of(net: nn.Module, name: str) -> float:
    """The slopes of a layer's surrogate, atan of snnTorch, by their formula; over steps, and a mean over the rest."""
    held: list[Tensor] = []
    handle = net.get_submodule(name).register_forward_hook(lambda *call: held.append(call[-1][1]))
    net(CASE.batch)
    handle.remove()
    centred = torch.stack(held) - 1
    return (1 / (1 + (torch.pi * centred).square())).sum(0).mean().item()


def test_training_is_not_changed() -> None:
    """Must match, to the bit: the weights after three steps with all callbacks, and without any."""
    plain, watched = module(lr=0.01), module(lr=0.01)
    fit(plain, CASE.batch, [])
    chips = EnergyOnChips(["horowitz_45nm"], steps=25)
    fit(watched, CASE.batch, [EarlyWarning(every_n_steps=1), chips, GradientFlow(every_n_steps=2), FiringRates()])
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)
    assert len(chips.curves["spikes_per_sample"]) == 1


def test_energy_is_that_of_energy_of(tmp_path: Path) -> None:
    """Must match `energy_of` on the same batch; synaptic operations of a dense layer by hand."""
    energy = EnergyOnChips(["horowitz_45nm", "neurogrid"])
    trained = module()
    fit(trained, CASE.batch, [energy], folder=tmp_path)
    priced = sgbench.energy_of(trained.net, CASE.batch, input_kind="real", targets=["horowitz_45nm"])
    estimate = priced["horowitz_45nm"].priced_nj
    assert estimate is not None
    (row,) = rows_of(tmp_path)
    assert float(row["energy_nj/horowitz_45nm"]) == pytest.approx(estimate.value)
    assert ("energy_nj/neurogrid" in row) == (energy.priced["neurogrid"].priced_nj is not None)  # type: ignore[index]
    sent = {layer.name: layer.spikes_sent.total for layer in priced.counts.layers}
    inputs = int(CASE.batch.count_nonzero()) * 25
    by_hand = inputs * 48 + sent["lif.0"] * 48 + sent["lif.1"] * 10  # type: ignore[operator]
    assert float(row["synaptic_operations_per_sample"]) == pytest.approx(by_hand / 16)


class Ours(pl.LightningModule):
    """A neuron of the catalogue, whose `step` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.neuron = nn.Linear(8, 6), sgbench.create("neuron/leaky", beta=0.9)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        current = 4 * self.dense(batch)
        state, total = self.neuron.initial_state(current), torch.zeros(())
        for _ in range(5):
            spikes, state = self.neuron.step(current, state)
            total = total + spikes.square().mean()
        return total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def test_our_neurons_in_a_module_are_watched() -> None:
    """Expected: the loss is the sum over five steps of the rate; afterwards the neuron has its own step again."""
    torch.manual_seed(0)
    rates, flow = FiringRates(), GradientFlow(every_n_steps=1)
    ours, batch = Ours(), torch.rand(4, 8)
    fit(ours, batch, [flow, rates])
    by_hand = ours.training_step(batch, 0).item() / 5
    assert rates.curves["firing_rate/neuron"][0][1] == pytest.approx(by_hand)
    assert by_hand > 0
    assert len(flow.curves["gradient_norm/neuron"]) == 3
    assert "step" not in vars(ours.neuron)


def test_a_module_without_spiking_layers_is_refused() -> None:
    """Expected: one line with its class, and what to keep."""
    dense = Wrapped(nn.Linear(8, 1), lambda net, x: net(x).mean())
    for callback in (FiringRates(), GradientFlow(), EarlyWarning()):
        with raises_naming(InputError, "Wrapped", "snn.Leaky"):
            fit(dense, torch.rand(4, 8), [callback])


def test_curves_are_kept_in_checkpoints() -> None:
    """Must match: the curves after a state has been saved and read by another callback."""
    flow = GradientFlow()
    fit(module(), CASE.batch, [flow])
    other = GradientFlow()
    other.load_state_dict(flow.state_dict())
    assert (other.curves, other.batches) == (flow.curves, 3)
    assert all(math.isfinite(number) for curve in other.curves.values() for _, number in curve)


@pytest.mark.slow
def test_the_example_of_a_lightning_user_runs(tmp_path: Path) -> None:
    """Two spawned processes in bfloat16: all callbacks log and draw, a checkpoint is kept, and it learns."""
    script = Path(__file__).parents[2] / "examples" / "lightning_user.py"
    words = [sys.executable, script, "--folder", tmp_path, "--epochs", "3"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    assert [line[:8] for line in done.stdout.splitlines() if line.startswith("epoch")] == [
        f"epoch {n}:" for n in range(3)
    ]
    assert "on loihi1: " in done.stdout
    pictures = {path.stem for path in (tmp_path / "csv").glob("*.png")}
    assert pictures == {"early_warning", "energy_on_chips", "firing_rates", "gradient_flow"}
    accuracies = [float(row["val/accuracy"]) for row in rows_of(tmp_path) if row["val/accuracy"]]
    assert accuracies[-1] > 0.5
    assert "early_warning/" not in (tmp_path / "csv" / "metrics.csv").read_text()
    assert len([*(tmp_path / "checkpoints").glob("*.ckpt")]) == 1


@pytest.mark.slow
def test_pictures_reach_tensorboard(tmp_path: Path) -> None:
    """Must match: one image under the callback's name, read by TensorBoard itself."""
    from pytorch_lightning.loggers import TensorBoardLogger
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger: Any = TensorBoardLogger(tmp_path, name="tb", version="0")
    fit(module(), CASE.batch, [FiringRates()], logger=logger)
    events = EventAccumulator(logger.log_dir).Reload()
    assert events.Tags()["images"] == ["firing_rates"]
    assert "firing_rate/net.lif.0" in events.Tags()["scalars"]


@pytest.mark.slow
def test_pictures_reach_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Must match, offline: one picture of each callback among the files of wandb's run."""
    from pytorch_lightning.loggers import WandbLogger

    monkeypatch.setenv("WANDB_SILENT", "true")
    callbacks = [FiringRates(), GradientFlow(), EnergyOnChips(["horowitz_45nm"]), EarlyWarning()]
    logger: Any = WandbLogger(save_dir=tmp_path, project="mine", offline=True)
    fit(module(), CASE.batch, callbacks, logger=logger)
    logger.experiment.finish()
    pictures = [path.stem for path in tmp_path.rglob("media/**/*.png")]
    assert [sum(callback.picture in each for each in pictures) for callback in callbacks] == [1, 1, 1, 1]


@pytest.mark.slow
def test_pictures_reach_the_loggers_of_a_run(tmp_path: Path) -> None:
    """Must match, of a run that Lightning drives: a PNG beside the CSV file, an image among TensorBoard's events."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "callback"
    folder.mkdir()
    (folder / "rates.yaml").write_text("# @package callback.rates\n_target_: sgbench.callbacks.FiringRates\n")
    words = (*WORDS, "trainer=lightning", "callback=rates", "engine=reference", "logger=[csv,tensorboard]")
    allowed = {"config_dirs": [tmp_path], "allow_targets": ["sgbench.callbacks.FiringRates"]}
    record = sgbench.run(*words, f"paths.runs_dir={tmp_path}", **allowed)  # type: ignore[arg-type]
    assert record.status == "finished", record.failure
    run = tmp_path / record.protocol / record.method_id / "0"
    assert (run / "csv" / "firing_rates.png").read_bytes().startswith(b"\x89PNG")
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert events.Tags()["images"] == ["firing_rates"]


def test_parallel_layers_count_each_step() -> None:
    """By hand: a layer that takes all steps at once has as many neurons as its last axis."""

    class Parallel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.leaky = snn.LeakyParallel(input_size=8, hidden_size=6)

        def forward(self, x: Tensor) -> Tensor:
            return self.leaky(x)

    torch.manual_seed(0)
    rates = FiringRates()
    net = Parallel()
    batch = 3 * torch.rand(5, 4, 8)
    fit(Wrapped(net, lambda net, x: net(x).mean(), lr=0.0), batch, [rates], batches=1)
    assert rates.curves["firing_rate/net.leaky"][0][1] == pytest.approx(net(batch).mean().item())
