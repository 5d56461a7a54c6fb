"""Surrogates in a user's own network: equal conditions, the board's statistics, marked as outside the catalogue."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import snntorch as snn
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import sgbench
from sgbench.composition import catalogue
from sgbench.errors import InputError
from sgbench.training.provenance import source_sha256
from sgbench.yours.arrays import read_data
from sgbench.yours.own_training import OwnTable
from tests.messages import lines_naming, raises_naming
from tests.thinned import thinned_rows

GENERATOR = torch.Generator().manual_seed(0)
Y = torch.arange(48) % 2
X = (torch.rand(48, 12, 6, generator=GENERATOR) < 0.05 + 0.5 * Y[:, None, None]).float()
STARTS: list[Tensor] = []


class Network(nn.Module):
    """As in snnTorch's tutorials: input [time, batch, channels], spikes of the last layer over time."""

    def __init__(self, *, keeps_state: bool = False) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 10), nn.Linear(10, 2)
        self.lif1 = snn.Leaky(beta=0.9, init_hidden=keeps_state)
        self.lif2 = snn.Leaky(beta=0.9, reset_mechanism="none")
        self.keeps_state = keeps_state
        STARTS.append(self.fc1.weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        potential1, potential2, kept = (
            self.lif1.mem if self.keeps_state else self.lif1.reset_mem(),
            self.lif2.reset_mem(),
            [],
        )
        for now in x:
            if self.keeps_state:
                spikes = self.lif1(self.fc1(now))
            else:
                spikes, potential1 = self.lif1(self.fc1(now), potential1)
            _, potential2 = self.lif2(self.fc2(spikes), potential2)
            kept.append(potential2)
        return torch.stack(kept)


class Lit(pl.LightningModule):
    """The same with a step and an optimiser of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Network()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        x, target = batch
        return {"loss": nn.functional.cross_entropy(self(x).sum(0), target)}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05)


def compare(make: Any = Network, train: Any = (X, Y), **options: Any) -> Any:
    """Two epochs of two surrogates."""
    return sgbench.compare_in(
        make,
        train,
        **({"surrogates": ["atan", "zero"], "seeds": 2, "epochs": 2, "time_first": True, "progress": False} | options),
    )


def test_every_surrogate_starts_from_the_same_weights_and_ends_in_a_table() -> None:
    """Expected: weights by seed alone, equal numbers from equal calls; the caller's generator is left alone."""
    STARTS.clear()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    table = compare(lr=0.02)
    assert torch.equal(torch.random.get_rng_state(), before)
    first, second, again_first, again_second = STARTS
    assert torch.equal(first, again_first)
    assert torch.equal(second, again_second)
    assert not torch.equal(first, second)
    assert repr(compare(lr=0.02)) == repr(table)
    assert {row.surrogate for row in table.rows} == {"atan", "zero"}
    assert all(row.rank is not None for row in table.rows)
    assert "outside the catalogue" in repr(table)
    assert "outside the catalogue" in table._repr_html_()


def test_runs_that_learn_nothing_are_told() -> None:
    """A rate of 1e-9 on 8 samples, of which guessing gets up to 0.5 + 2 sqrt(0.25 / 8) = 85 % right by chance."""
    parts = {"train": (X[:32], Y[:32]), "validation": (X[32:40], Y[32:40]), "test": (X[40:], Y[40:])}
    table = compare(surrogates=["atan"], seeds=2, epochs=1, lr=1e-9, **parts)
    (row,) = table.rows
    expected = tuple(seed for seed, accuracy in row.validation.items() if accuracy <= 0.5 + 2 * (0.25 / 8) ** 0.5)
    assert row.at_chance == expected != ()
    said = f"atan seed {expected[0]}, are no better than guessing: nothing was learnt; sgbench.diagnose_module"
    assert said in " ".join(repr(table).split())
    assert said in table._repr_html_()
    assert "guessing" not in repr(OwnTable([replace(row, at_chance=())], guess=0.5))


@pytest.mark.slow
def test_the_same_data_in_other_forms_are_the_same_table() -> None:
    """Must match: a shuffling loader, a data set, words as labels, float64. Must differ: groups kept whole."""
    expected = compare()
    words = np.array(["left", "right"])[Y.numpy()]
    data = TensorDataset(X, Y)
    for train in (DataLoader(data, batch_size=5, shuffle=True), data, (X.double().numpy(), words)):
        assert repr(compare(train=train)) == repr(expected)
    assert lines_naming(repr(expected), "8 of 38", "validation")
    assert "the groups" in repr(compare(groups=np.arange(48) // 6))


def test_a_missing_class_is_said_and_goes_on() -> None:
    """Twenty of one class and three of another, and a test part that has none of it."""
    chosen = torch.cat([torch.arange(0, 40, 2), torch.tensor([1, 3, 5])])
    table = compare(train=(X[chosen], Y[chosen]), test=(X[::2], Y[::2]))
    assert lines_naming(repr(table), "test", "1 of 2 classes: 1")


def test_a_lightning_module_trains_by_its_own_step_and_optimiser() -> None:
    """Must differ: Adam at another rate would give other numbers; a function of ones own is a surrogate too."""
    own = sgbench.CustomSurrogate(lambda u: torch.exp(-u.square()))
    table = compare(Lit, surrogates={"mine": own, "atan": snn.surrogate.atan()}, lr=100.0)
    assert {row.surrogate for row in table.rows} == {"mine", "atan"}
    assert not any(row.failed for row in table.rows)


def test_state_left_over_between_batches_is_found() -> None:
    """Must match: the same network that resets. The first batch alone would not show it."""
    with raises_naming(InputError, "snntorch.utils.reset"):
        compare(lambda: Network(keeps_state=True))


CELL = """
import sgbench
import torch
from sgbench.surrogates.triangle import Triangle


class Mine(Triangle):
    pass


class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, place):
        return torch.full((8, 3), place / 12), place % 2
"""


def test_classes_of_a_notebook_are_used_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network, data and a surrogate of `__main__`, whose source nobody can read."""
    cell: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(CELL, "<cell>", "exec"), cell)  # noqa: S102 - what a notebook does
    assert read_data(cell["Data"](), "train").labels.tolist() == [0, 1] * 6
    monkeypatch.setattr(sys.modules["__main__"], "Mine", cell["Mine"], raising=False)
    folder = tmp_path / "surrogate"
    folder.mkdir()
    text = catalogue.entry("surrogate", "triangle").path.read_text()
    (folder / "mine.yaml").write_text(text.replace("sgbench.surrogates.triangle.Triangle", "__main__.Mine"))
    made = sgbench.create("surrogate/mine", config_dirs=[tmp_path], allow_targets=["__main__.Mine"])
    assert type(made) is cell["Mine"]
    assert source_sha256("__main__.Mine") is None
    assert [row.surrogate for row in compare(surrogates={"mine": made}, epochs=1).rows] == ["mine"]


def test_a_loss_that_leaves_the_finite_counts_as_guessing() -> None:
    """By hand: one half of two classes, in all seeds, named as failed."""
    table = compare(surrogates=["atan"], loss=lambda output, target: output.sum() * float("nan"))
    (row,) = table.rows
    assert (row.test, row.failed) == ({0: 0.5, 1: 0.5}, (0, 1))


def test_a_module_that_comes_back_is_refused() -> None:
    """Must refuse one shared module, and a new one around its weights; must take weights that are frozen."""
    shared = Network()
    with raises_naming(InputError, "'fc1.weight' a second time", "make a new module in each call"):
        compare(lambda: shared, surrogates=["atan"])
    with raises_naming(InputError, "a second time"):
        compare(lambda: nn.Sequential(shared, nn.Identity()), surrogates=["atan"])

    def with_frozen() -> nn.Module:
        network = Network()
        network.fc1 = frozen
        return network

    frozen = nn.Linear(6, 10).requires_grad_(requires_grad=False)
    assert len(compare(with_frozen, surrogates=["atan"], epochs=1).rows) == 1


def test_each_neuron_has_a_surrogate_of_its_own() -> None:
    """Must differ: the objects of two layers, also of a surrogate that the user gave as one object."""
    found: list[Any] = []

    def loss(output: Any, target: Tensor) -> Tensor:
        found.append([item.spike_grad for item in made[-1].modules() if hasattr(item, "spike_grad")])
        return nn.functional.cross_entropy(output.sum(0), target)

    made: list[nn.Module] = []

    def make() -> nn.Module:
        made.append(Network())
        return made[-1]

    compare(make, surrogates={"mine": sgbench.create("surrogate/a2sg")}, seeds=1, epochs=1, loss=loss)
    first, second = found[0]
    assert first is not second


def test_the_table_says_width_epochs_rate_and_why_a_seed_failed() -> None:
    """By hand: two surrogates at a width of 0.5, the own one of a triangle's width, and losses that overflow."""

    def loss(output: Any, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output.sum(0), target) * (float("inf") if BROKEN else 1.0)

    table = compare(surrogates=["atan", "own"], width_fwhm=0.5, epochs=2, lr=0.02, loss=loss)
    rows = {row.surrogate: row for row in table.rows}
    assert (rows["atan"].width_fwhm, rows["own"].width_fwhm) == (0.5, None)
    assert all(1 <= epoch <= 2 for row in table.rows for epoch in row.best_epoch.values())
    assert lines_naming(repr(table), "2 epochs", "batches of 64", "Adam, lr 0.02")
    BROKEN.append(1)
    try:
        broken = compare(surrogates=["atan"], loss=loss, seeds=1)
    finally:
        BROKEN.clear()
    assert broken.rows[0].failures == {0: "the loss was inf in epoch 1, batch 1"}
    assert "atan seed 0 failed and counts as guessing: the loss was inf in epoch 1, batch 1" in repr(broken)


BROKEN: list[int] = []


def test_the_gradient_of_the_reset_is_set() -> None:
    """Must differ: losses of trainings with and without it; a wrong word is refused."""
    attached, detached = (
        compare(surrogates=["atan"], reset_gradient=reset, lr=0.05, epochs=2).rows[0]
        for reset in ("attached", "detached")
    )
    assert attached.best_epoch.keys() == detached.best_epoch.keys()
    with pytest.raises(InputError, match="one of attached, detached"):
        compare(reset_gradient="atached")


@pytest.mark.parametrize(
    ("options", "said"),
    thinned_rows(
        [
            ({"make": lambda: nn.Linear(6, 2)}, "no neurons of snnTorch"),
            ({"surrogates": "atan"}, "names are needed"),
            ({"surrogates": ["atann"]}, "did you mean 'atan'"),
            ({"surrogates": {"mine": 3}}, "no function"),
            ({"time_first": False}, "set time_first=True"),
            ({"make": lambda: 3}, "returned a int; a new torch module"),
            ({"seeds": 0}, "seeds=0"),
            ({"test": (X, Y[:3])}, "one whole number or word a sample"),
            ({"test": (X * float("nan"), Y)}, "sample 0 holds NaN or infinity"),
            ({"train": (X, Y * 0)}, "two classes at least"),
            ({"train": (X[:2], Y[:2])}, "no class with two of them"),
            ({"train": [(x[: 3 + k % 2], int(y)) for k, (x, y) in enumerate(zip(X, Y, strict=True))]}, "equal shapes"),
            ({"groups": [0] * 48}, "all training samples are of one group"),
        ],
        3,
    ),
)
def test_what_cannot_be_compared_is_one_line(options: dict[str, Any], said: str) -> None:
    """Before anything trains."""
    with pytest.raises(InputError, match=said):
        compare(**options)


def test_what_a_newcomer_gives_in_the_wrong_place_is_named() -> None:
    """Must match: a module where a maker of modules is needed; a network where overrides stand."""
    network = nn.Sequential(nn.Linear(4, 2), snn.Leaky(beta=0.9, init_hidden=True, output=True))
    data = (torch.ones(4, 3, 4), torch.arange(4) % 2)
    wrong: Any = (network, data[0])
    with raises_naming(InputError, "make_module", "a function that makes one"):
        sgbench.compare_in(network, data, surrogates=["own", "atan"])
    with raises_naming(InputError, "network=...", "batch=..."):
        sgbench.recommend(*wrong)
