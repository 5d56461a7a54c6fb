"""Counts of torch's layers without recurrence against walks over synapses and windows, and counts by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from sgbench.energy.modules import ModuleCounter
from sgbench.errors import InputError
from sgbench.records.counts import LayerCounts, OpCounts
from tests.energy.some_spikes import few, spikes
from tests.messages import raises_naming


def count(network: nn.Module, *calls: Tensor, kind: str = "real", folded: bool = False) -> OpCounts:
    """One call a batch of samples, each of one step."""
    counter = ModuleCounter(network.eval(), input_kind=kind, bits=32, fold_batch_norm=folded)
    for x in calls:
        counter(x, samples=len(x), steps=len(x))
    return counter.result()


def only(counts: OpCounts, name: str = "") -> LayerCounts:
    """The layer of this name, or the only one."""
    (layer,) = [each for each in counts.layers if not name or each.name == name]
    return layer


# --- convolutions, by brute force


def taps(size: int, kernel: int, stride: int, padding: int, dilation: int) -> Iterator[tuple[int, int]]:
    """Along one side: which input each output hears, from the definition of a convolution."""
    outputs = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    for output in range(outputs):
        for tap in range(kernel):
            place = output * stride - padding + tap * dilation
            if 0 <= place < size:
                yield place, output


def walk(x: Tensor, layer: Any) -> tuple[int, int]:
    """Effective and dense operations with one step for each synapse of each sample."""
    dims = x.dim() - 2
    options = [
        [getattr(layer, name)[axis] for name in ("kernel_size", "stride", "padding", "dilation")]
        for axis in range(dims)
    ]
    sides = [list(taps(x.shape[2 + axis], *options[axis])) for axis in range(dims)]
    effective = dense = 0
    into, out = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    for sample, group, channel, _, synapse in itertools.product(
        range(len(x)), range(layer.groups), range(into), range(out), itertools.product(*sides)
    ):
        dense += 1
        effective += x[(sample, group * into + channel, *(place for place, _ in synapse))].item() != 0
    return effective, dense


@few
@given(
    dims=st.integers(1, 3),
    groups=st.integers(1, 2),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_convolution_equals_a_walk_over_synapses(dims, groups, kernel, stride, padding, dilation, seed):
    """Expected: brute force over samples, channels, outputs and taps; padding is no input."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    layer = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims](groups, 2 * groups, kernel, **options)
    x = spikes(2, groups, *((5, 6, 5)[:dims]), seed=seed)
    found = only(count(layer, x, kind="binary"))
    (group,) = found.synapses
    assert (group.effective.total, group.dense.total) == walk(x, layer)
    assert group.operation == "accumulate"
    assert group.weights == layer.weight.numel()
    outputs = layer(x).numel()
    assert found.bias_additions.total == outputs
    assert found.weight_reads.total == group.effective.total + outputs


def test_circular_padding_has_no_border():
    """Expected by hand: 5 inputs around a ring, each heard by 3 outputs of 2 channels: 6 synapses each."""
    layer = nn.Conv1d(1, 2, 3, padding=1, padding_mode="circular", bias=False)
    group = only(count(layer, torch.ones(1, 1, 5))).synapses[0]
    assert group.effective.total == group.dense.total == 30


# --- dense layers, normalisation, pooling, activations, residuals: by hand


def test_linear_by_hand():
    """2 samples of 3 inputs, 4 of 6 not 0; 5 outputs: 20 of 30 operations, 10 biases."""
    x = torch.tensor([[1.0, 0.0, -2.0], [0.5, 0.0, 1.0]])
    layer = only(count(nn.Linear(3, 5), x))
    (group,) = layer.synapses
    assert (group.effective.total, group.dense.total, group.operation) == (20, 30, "multiply_accumulate")
    assert layer.bias_additions.total == 10
    assert layer.neurons == 5


def test_kind_follows_the_declaration_never_the_values():
    """A network fed with a binary image multiplies unless the image is declared binary; the rest differs not."""
    x = spikes(3, 4)
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    real, binary = (count(network, x, kind=kind) for kind in ("real", "binary"))
    kinds = [[layer.synapses[0].operation for layer in found.layers if layer.synapses] for found in (real, binary)]
    assert kinds == [["multiply_accumulate"] * 2, ["accumulate", "multiply_accumulate"]]


@pytest.mark.parametrize(
    ("module", "shape", "field", "expected"),
    [
        # a multiplication and addition of each of 2 x 3 x 4 x 4 values
        (nn.BatchNorm2d(3), (2, 3, 4, 4), "normalisation_operations", 96),
        # 2 x 6 values: sum, sum of squares, normalise, scale
        (nn.LayerNorm(6), (2, 6), "normalisation_operations", 48),
        (nn.LayerNorm(6, elementwise_affine=False), (2, 6), "normalisation_operations", 36),
        (nn.GroupNorm(2, 4), (2, 4, 3), "normalisation_operations", 96),
        # 1 x 2 planes, 2 x 2 windows of 4: 4 operations each to average, 3 to compare
        (nn.AvgPool2d(2), (1, 2, 4, 4), "pooling_operations", 32),
        (nn.MaxPool2d(2), (1, 2, 4, 4), "pooling_operations", 24),
        # windows of 2, 3, 3 and 2 values at padded ends: 10 values, 4 outputs
        (nn.AvgPool1d(3, stride=1, padding=1), (1, 1, 4), "pooling_operations", 10),
        (nn.MaxPool1d(3, stride=1, padding=1), (1, 1, 4), "pooling_operations", 6),
        # 5 values into 2 windows of 3
        (nn.AdaptiveAvgPool1d(2), (1, 1, 5), "pooling_operations", 6),
        (nn.AdaptiveMaxPool1d(2), (1, 1, 5), "pooling_operations", 4),
        (nn.ReLU(), (2, 5), "neuron_comparisons", 10),
        (nn.LeakyReLU(), (2, 5), "neuron_multiplications", 10),
        (nn.Sigmoid(), (2, 5), "function_evaluations", 10),
    ],
)
def test_layers_without_synapses_by_hand(module, shape, field, expected):
    layer = only(count(module, torch.ones(shape)))
    assert getattr(layer, field).total == expected
    assert layer.synapses == ()


@few
@given(st.integers(4, 7), st.integers(1, 3), st.integers(1, 3), st.integers(0, 1), st.booleans())
def test_pooled_values_equal_a_walk_over_windows(size, kernel, stride, padding, ceil_mode):
    """Expected: torch itself, which sums windows of ones without dividing."""
    padding = min(padding, kernel // 2)
    module = nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil_mode, divisor_override=1)
    x = torch.ones(1, 1, size, size + 1)
    assert only(count(module, x)).pooling_operations.total == module(x).sum().item()


def test_folded_normalisation_costs_nothing():
    """Must differ: folded into the weights before it, batch normalisation is 0; the rest is the same."""
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
    plain, folded = (count(network, torch.ones(2, 1, 5, 5), folded=each) for each in (False, True))
    assert only(plain, "1").normalisation_operations.total == 2 * 3 * 3 * 3
    assert only(folded, "1").normalisation_operations.total == 0
    assert only(plain, "0") == only(folded, "0")


class Residual(nn.Module):
    """A block whose input joins its output."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def test_residual_additions_by_hand():
    """Two blocks of 4 values, 3 samples: 24 additions; the second block hears sums, which are real."""
    network = nn.Sequential(Residual(), Residual())
    found = count(network, spikes(3, 4), kind="binary")
    assert only(found, "residual additions").residual_additions.total == 24
    groups = [layer.synapses[0] for layer in found.layers if layer.synapses]
    assert [group.operation for group in groups] == ["accumulate", "multiply_accumulate"]
    assert [group.source for group in groups] == ["input", "residual additions"]


class Called(nn.Module):
    """Calls a function on what a module makes."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.function = nn.Conv2d(1, 2, 3), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.body(x))


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (nn.ReLU(), functional.relu),
        (nn.ReLU(), Tensor.relu_),
        (nn.LeakyReLU(), functional.leaky_relu),
        (nn.Sigmoid(), torch.sigmoid),
        (nn.LogSoftmax(1), lambda x: functional.log_softmax(x, dim=1)),
        (nn.MaxPool2d(2), lambda x: functional.max_pool2d(x, 2)),
        (nn.MaxPool2d(3, 1, 1), lambda x: functional.max_pool2d(x, 3, stride=1, padding=1)),
        (nn.AvgPool2d(3, 1, 1), lambda x: functional.avg_pool2d(x, 3, 1, padding=1)),
        (nn.AdaptiveAvgPool2d(2), lambda x: functional.adaptive_avg_pool2d(x, 2)),
    ],
)
def test_a_function_counts_as_its_module_does(module, function):
    """Must match: each count of the module's layer, whose own tests are by hand."""
    x = torch.ones(3, 1, 7, 7)
    called = count(Called(function), x).layers[-1]
    named = count(nn.Sequential(nn.Conv2d(1, 2, 3), module), x).layers[-1]
    assert called.name.endswith("(body)")
    assert called.model_dump(exclude={"name", "neuron"}) == named.model_dump(exclude={"name", "neuron"})


class Rectified(nn.Module):
    """Two layers with a function behind each, one step a call of `steps`."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 2, 3), nn.Linear(50, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor, steps: int = 2) -> Tensor:
        output = x
        for _ in range(steps):
            output = self.c(functional.relu(self.b(functional.relu(self.a(x)).flatten(1))))
        return output


def test_each_call_of_a_function_is_a_layer_of_its_own():
    """By hand: 2 x 5 x 5 neurons behind the convolution and 4 behind the linear layer, both steps alike."""
    counter = ModuleCounter(Rectified().eval(), input_kind="real", bits=32, fold_batch_norm=False)
    counter(torch.ones(3, 1, 7, 7), samples=3, steps=6)
    found = counter.result().layers
    assert [(one.name, one.neurons) for one in found] == [
        ("a", 50),
        ("relu(a)", 50),
        ("b", 4),
        ("relu(b)", 4),
        ("c", 3),
    ]
    assert [group.source for one in found for group in one.synapses] == ["input", "relu(a)", "relu(b)"]


def test_a_function_of_blocks_alike_is_a_layer_of_each():
    """By hand: behind a residual addition only the block tells two calls apart. Must differ: 6 neurons, then 2."""

    class Block(nn.Module):
        def __init__(self, neurons: int) -> None:
            super().__init__()
            self.body = nn.Linear(neurons, neurons)

        def forward(self, x: Tensor) -> Tensor:
            return functional.relu(self.body(x) + x)

    found = count(nn.Sequential(Block(6), nn.Linear(6, 2), Block(2)), torch.ones(3, 6)).layers
    assert {one.name: one.neurons for one in found if "relu" in one.name} == {
        "0.relu(residual additions)": 6,
        "2.relu(residual additions)": 2,
    }


def test_a_name_that_would_grow_without_end_has_an_end():
    """Must match: a record holds names of 100 letters; a function of a function of a function ends there."""

    def often(y: Tensor) -> Tensor:
        for _ in range(60):
            y = functional.relu(y)
        return y

    found = count(Called(often), torch.ones(3, 1, 7, 7)).layers
    assert max(len(one.name) for one in found) == 100


@pytest.mark.parametrize(
    "drop",
    [
        lambda y: functional.dropout(y, 0.5, training=False),
        lambda y: functional.dropout2d(y, 0.5, False),
        lambda y: torch.dropout(y, 0.5, train=False),
        functional.alpha_dropout,
    ],
)
def test_dropout_that_does_not_train_hands_on_where_values_come_from(drop):
    """Must match: the same layers as without it."""
    x = torch.ones(3, 1, 7, 7)
    found = count(Called(lambda y: functional.relu(drop(y))), x)
    assert found == count(Called(functional.relu), x)


@pytest.mark.parametrize(
    "drop",
    [
        lambda y: functional.dropout(y, 0.5),
        lambda y: functional.dropout(y, training=True),
        lambda y: torch.dropout(y, 0.5, True),
        lambda y: functional.alpha_dropout(y, training=True),
    ],
)
def test_dropout_that_trains_is_refused_with_the_remedy(drop):
    """Must differ: training is a function's default, whatever mode its module is in."""
    with raises_naming(InputError, "dropout'", "training=self.training"):
        count(Called(drop), torch.ones(3, 1, 7, 7))


def test_a_sum_and_a_mean_by_hand():
    """Over 2 channels of 5 x 5 values of 3 samples: 24 additions for each of 6 sums; a mean is divided besides."""
    x = torch.ones(3, 1, 7, 7)
    added = count(Called(lambda y: y.sum((2, 3))), x).layers[-1]
    mean = count(Called(lambda y: y.mean(dim=(2, 3))), x).layers[-1]
    assert added.pooling_operations.total == 6 * 24
    assert mean.pooling_operations.total == 6 * 25
    assert added.neurons == mean.neurons == 2


def test_the_largest_of_spikes_is_a_spike_also_by_a_function():
    """By the declaration, as of modules: behind a maximum weights are added, behind a mean multiplied."""

    class Pooled(nn.Module):
        def __init__(self, pool: Callable[[Tensor, int], Tensor]) -> None:
            super().__init__()
            self.pool, self.fc = pool, nn.Linear(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.pool(x, 2).flatten(1))

    for pool, expected in ((functional.max_pool1d, "accumulate"), (functional.avg_pool1d, "multiply_accumulate")):
        found = count(Pooled(pool), spikes(2, 1, 4), kind="binary")
        assert found.layers[-1].synapses[0].operation == expected


# --- what must not matter, and what must be refused


def test_batches_order_and_precision_do_not_matter():
    """Expected: the same totals however the samples are batched, ordered, and in float64."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    )
    x = torch.randint(-2, 3, (6, 1, 4, 4)).float()
    whole = count(network, x)
    assert count(network, x[:1], x[1:4], x[4:]) == whole
    assert count(network, x.flip(0)) == whole
    assert count(network.double(), x.double()) == whole


def test_max_pooling_keeps_spikes_average_pooling_does_not():
    """By the declaration: the largest of spikes is a spike, their mean is a number."""
    for pool, expected in ((nn.MaxPool1d(2), "accumulate"), (nn.AvgPool1d(2), "multiply_accumulate")):
        found = count(nn.Sequential(pool, nn.Flatten(), nn.Linear(2, 1)), spikes(2, 1, 4), kind="binary")
        assert found.layers[-1].synapses[0].operation == expected


class Functional(nn.Module):
    """Computes outside its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cumsum(input=self.fc(x), dim=1)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.Bilinear(1, 1, 1)), r"'1'.*torch.*Bilinear"),
        (nn.ConvTranspose1d(1, 1, 1), "ConvTranspose1d"),
        (Functional(), "does not know 'cumsum' between modules of Functional"),
        (nn.LSTM(2, 3, proj_size=2), "proj_size"),
    ],
)
def test_what_is_not_known_is_an_error_with_its_name(network, message):
    """Never a count that is short of something."""
    x = torch.ones(1, 1, 2) if isinstance(network, nn.LSTM | nn.ConvTranspose1d) else torch.ones(1, 2)
    with pytest.raises(InputError, match=message):
        count(network, x)


@pytest.mark.parametrize("module", [nn.BatchNorm1d(2), nn.Dropout(0.5)])
def test_training_mode_is_refused(module):
    """Batch statistics and dropped inputs belong to training; the message says what to do."""
    counter = ModuleCounter(module.train(), input_kind="real", bits=32, fold_batch_norm=False)
    with raises_naming(InputError, "eval()"):
        counter(torch.ones(2, 2), samples=2, steps=2)


def test_nothing_counted_is_an_error_not_zero():
    counter = ModuleCounter(nn.Linear(2, 2), input_kind="real", bits=32, fold_batch_norm=False)
    with pytest.raises(InputError, match="nothing was counted"):
        counter.result()


def test_steps_of_one_sample_are_refused():
    """96 samples of 20 steps are 1,920 steps; 20 of them are none that could be, and were the latency of a 96th."""
    counter = ModuleCounter(nn.Linear(2, 2).eval(), input_kind="binary", bits=32, fold_batch_norm=False)
    with raises_naming(InputError, "steps=20", "samples=96", "1920"):
        counter(torch.ones(20, 96, 2), samples=96, steps=20)
    counter(torch.ones(20, 96, 2), samples=96, steps=1920)
    counter(torch.ones(96, 2), samples=0, steps=96)  # one step more of the same samples
    assert (counter.result().samples, counter.result().steps) == (96, 2016)
