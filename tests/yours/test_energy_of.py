"""Energy of a user's own module: counts by hand times the price list's own numbers, and what is left out."""

import math

import pytest
import snntorch
import torch
from torch import Tensor, nn

import sgbench
from sgbench.energy.price import load_targets
from sgbench.errors import InputError

PJ = {price.operation: price.value_pj for price in load_targets()["horowitz_45nm"].prices}


def pooled_network() -> nn.Sequential:
    """Convolution, pooling and a dense layer, without biases: what is counted fits on one hand."""
    return nn.Sequential(nn.Conv1d(1, 2, 3, bias=False), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(6, 2, bias=False))


class Spiking(nn.Module):
    """A network of snnTorch whose `forward` runs all steps, as its tutorials write them."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2, bias=False)
        self.leaky = snntorch.Leaky(beta=0.5)

    def forward(self, x: Tensor) -> Tensor:
        potential = self.leaky.init_leaky()
        spikes = []
        for step in x:
            spike, potential = self.leaky(self.linear(step), potential)
            spikes.append(spike)
        return torch.stack(spikes)


def test_parallel_neurons_are_left_out_of_a_sum_for_each_sample():
    """Must match: the linear layer alone in 5 steps, however many samples lie on the second axis."""
    linear = nn.Linear(3, 2, bias=False)
    network = nn.Sequential(linear, snntorch.LeakyParallel(2, 4))
    for samples in (2, 4):
        given = {"batch": torch.rand(5, samples, 3), "input_kind": "real", "targets": ["horowitz_45nm"]}
        priced = sgbench.energy_of(network, **given)
        alone = sgbench.energy_of(linear, **given, steps=5)["horowitz_45nm"].priced_nj
        assert priced.left_out == ("1 (LeakyParallel)",)
        assert priced["horowitz_45nm"].priced_nj == alone is not None


def test_the_sum_is_that_of_the_hand_count():
    """Expected: 6 x 3 x 2 + 6 x 2 products, and 6 comparisons of pooling two values, at the price list's prices."""
    priced = sgbench.energy_of(pooled_network(), torch.ones(4, 1, 8), input_kind="real")
    found = priced["horowitz_45nm"]
    expected = (48 * PJ["multiply_accumulate"] + 6 * PJ["pooling_operation"]) * 1e-3
    assert found.dynamic_nj is not None
    assert found.dynamic_nj.value == pytest.approx(expected)


def test_a_part_has_a_star_and_its_row_names_the_rest():
    """SENECA prices multiplications and not pooling: its 48 products are shown, starred, and pooling is named."""
    priced = sgbench.energy_of(pooled_network(), torch.ones(4, 1, 8), input_kind="real", targets=["seneca"])
    (found,) = priced.estimates
    each = next(p.value_pj for p in priced.targets["seneca"].prices if p.operation == "multiply_accumulate")
    assert found.dynamic_nj is None
    assert found.priced_nj is not None
    assert found.priced_nj.value == pytest.approx(48 * each * 1e-3)
    (row,) = priced.table().rows
    assert row[2].text.endswith(" *")
    assert row[4].text == "pooling operation"
    assert "table" in priced._repr_html_()


def test_every_target_has_a_number_or_a_reason():
    """Of all price lists each is in the table or in a line below it, and none in both."""
    priced = sgbench.energy_of(pooled_network(), torch.ones(4, 1, 8), input_kind="real")
    shown = {row[0].text for row in priced.table().rows}
    notes = [note for note in priced.table_notes() if note.startswith("no energy on ")]
    below = {name for note in notes for name in note.removeprefix("no energy on ").split(":")[0].split(", ")}
    assert shown | below == set(load_targets(everything=True))
    assert not shown & below
    assert "loihi2" in below


@pytest.mark.parametrize("shape", [(5, 4, 3), (4, 5, 3)])
def test_samples_are_told_from_steps(shape):
    """Four samples of five steps, in either order: latency is five steps, and not twenty."""
    network = Spiking() if shape[0] == 5 else nn.Sequential(nn.Flatten(0, 1), nn.Linear(3, 2))
    priced = sgbench.energy_of(network, torch.ones(shape), input_kind="binary", steps=5, dt_s=1e-3)
    assert priced.counts.samples == 4
    assert priced.counts.steps == 20
    assert priced["horowitz_45nm"].latency_s == pytest.approx(5e-3)


def test_the_network_keeps_its_mode_and_the_picture_is_drawn(tmp_path):
    network = Spiking().train()
    priced = sgbench.energy_of(network, torch.ones(5, 4, 3), input_kind="binary", steps=5)
    assert network.training
    assert priced.plot(tmp_path / "energy.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"steps": 4}, "4 steps: give another number of samples"),
        ({"targets": ["lohi1"]}, "energy target 'lohi1' does not exist; did you mean 'loihi1'"),
        ({"input_kind": "spikes"}, "one of binary, real is needed"),
        ({"dt_s": 0}, "dt_s"),
    ],
)
def test_what_cannot_be_priced_is_one_line(words, reason):
    with pytest.raises(InputError, match=reason.replace("'", ".")):
        sgbench.energy_of(Spiking(), torch.ones(4, 4, 3), **{"input_kind": "binary", **words})


class Odd(nn.Module):
    """A layer and a function of no known count."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.odd, self.last = (nn.Linear(3, 4, bias=False), nn.PReLU(), nn.Linear(4, 2, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cumsum(self.odd(self.first(x)), 1))


def test_what_is_not_known_is_left_out_of_a_total_that_says_so():
    """Expected: 3 x 4 + 4 x 2 products at the price list's price; the sum is no whole, and names both."""
    priced = sgbench.energy_of(Odd(), torch.ones(5, 3), input_kind="real", targets=["horowitz_45nm"])
    (found,) = priced.estimates
    assert found.dynamic_nj is None
    assert found.priced_nj is not None
    assert found.priced_nj.value == pytest.approx(20 * PJ["multiply_accumulate"] * 1e-3)
    assert found.is_part
    (row,) = priced.table().rows
    assert row[2].text.endswith(" *")
    said = "left out of every sum: odd (PReLU), cumsum (a function between modules of Odd)"
    assert said in priced.table_notes()
    assert said in repr(priced)


@pytest.mark.parametrize("value", [0.5, 2.0, float("nan")])
def test_real_input_is_not_taken_for_spikes(value):
    """Must refuse: a number that is no spike; must take: spikes of both signs, and the same number as real."""
    x = torch.ones(5, 4, 3)
    x[2, 1, 0] = -1
    sgbench.energy_of(Spiking(), x, input_kind="binary", targets=["horowitz_45nm"])
    x[2, 1, 0] = value
    with pytest.raises(InputError, match="NaN" if math.isnan(value) else f"the batch holds {value:g}"):
        sgbench.energy_of(Spiking(), x, input_kind="binary")
    if not math.isnan(value):
        sgbench.energy_of(Spiking(), x, input_kind="real", targets=["horowitz_45nm"])


def test_steps_are_those_that_ran():
    """Hand count: five calls of the layer are five steps of 1 ms; another number of steps is refused."""
    priced = sgbench.energy_of(Spiking(), torch.ones(5, 4, 3), input_kind="binary", targets=["horowitz_45nm"])
    assert (priced.counts.samples, priced.counts.steps) == (4, 20)
    assert priced["horowitz_45nm"].latency_s == pytest.approx(5e-3)
    with pytest.raises(InputError, match="steps=2: the spiking layers ran 5 times"):
        sgbench.energy_of(Spiking(), torch.ones(5, 4, 3), input_kind="binary", steps=2)
    with pytest.raises(InputError, match="Spiking: does not take the batch: RuntimeError"):
        sgbench.energy_of(Spiking(), torch.ones(5, 4, 7), input_kind="binary")


def test_one_module_for_layers_of_one_size_is_counted_where_its_steps_are_given() -> None:
    """Must match: 2 samples of 5 steps, by hand, though the neurons ran ten times."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.lif = nn.Linear(3, 3), nn.Linear(3, 3), snntorch.Leaky(beta=0.9)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            one = other = self.lif.reset_mem()
            for now in x:
                spikes, one = self.lif(self.first(now), one)
                spikes, other = self.lif(self.second(spikes), other)
            return spikes

    priced = sgbench.energy_of(Twice(), torch.ones(5, 2, 3), input_kind="binary", steps=5, targets=["horowitz_45nm"])
    assert (priced.counts.samples, priced.counts.steps) == (2, 10)
    with pytest.raises(InputError, match="steps=1: the spiking layers ran 10 times"):
        sgbench.energy_of(Twice(), torch.ones(5, 2, 3), input_kind="binary", steps=1)
