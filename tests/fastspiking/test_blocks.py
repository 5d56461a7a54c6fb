"""Chains by blocks of samples: the same as `step`, for every option, and the same bits for any number of threads.

Expected: the engine `reference`, to 1e-12 in float64.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor

from fastspiking import arrays, block_layer, blocks
from fastspiking.choose import Engine
from fastspiking.layer import LayerRun
from fastspiking.signals.spikes import SparseSpikes
from tests.fastspiking.cases import (
    NEURONS,
    SHAPES,
    SINGLE,
    WIRINGS,
    Wired,
    assert_clear,
    assert_same,
    catalogued,
    fires,
    functional,
    gain_of,
    neuron,
    options,
    packed,
    result,
    spikes,
)
from tests.fastspiking.test_resources import assert_equal_bits

KINDS = [kind for kind in NEURONS if fires(kind)]
X = spikes(12, 7, 17, 0.12)  # 7 samples are one group of four and three that are left


def readout_alone(runs: Sequence[LayerRun]) -> Tensor:
    """A loss of the readout's output and nothing else, as in training."""
    return functional(runs[-1:], ("spikes",))


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Samples of each block that has gone back, so that a test cannot pass on another way."""
    seen: list[int] = []
    original = block_layer.backward_block

    def noted(*arguments: object) -> None:
        seen.append(arguments[-1] - arguments[-2])
        original(*arguments)

    monkeypatch.setattr(block_layer, "backward_block", noted)
    return seen


def network(kind: str, wiring: tuple[str, str], sizes: tuple[int, int] = (11, 16), **changes: object) -> list[Wired]:
    """Two spiking layers, one as wide as whole vectors and one not, and a readout."""
    scale = (6 / 17) ** 0.5
    first, second = sizes
    return [
        Wired(17, neuron(kind, first, **changes), first, gain=1.5 * scale * gain_of(kind), wiring=wiring),
        Wired(first, neuron("leaky", second), second, gain=scale * gain_of("leaky"), wiring=wiring, name="hidden1"),
        Wired(second, neuron("leaky_readout", 5), 5, gain=0.3, name="readout"),
    ]


@pytest.fixture(autouse=True)
def _follow_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much fires, blocks go back."""
    monkeypatch.setattr(blocks.BlockPasses, "_is_dense", lambda self: False)


@pytest.mark.one_in(16)
@pytest.mark.parametrize("wiring", WIRINGS, ids="/".join)
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_equal_the_step(kind, wiring, passed):
    """Must match: all resets, attached and detached, with the loss on the readout and on all spikes."""
    cases = itertools.product(options(kind)["reset"], options(kind)["reset_gradient"])
    for place, (reset, reset_gradient) in enumerate(cases):
        layers = network(kind, wiring, reset=reset, reset_gradient=reset_gradient)
        loss = readout_alone if place % 2 else lambda runs: functional(runs, ("spikes",))
        keeps = loss is not readout_alone
        expected = result("reference", layers, X, loss=loss, keep_u=False, keep_spikes=keeps)
        passed.clear()
        found = result("fused", layers, packed(X), loss=loss, keep_u=False, keep_spikes=keeps)
        assert_same(found, expected, f"{kind} {reset} {reset_gradient} {wiring}")
        assert passed == [7] * 2  # the readout goes along with the layer before it


def _seen(output: Tensor, steps: slice, wanted: Tensor) -> Tensor:
    return (output[steps].sum(0) * wanted).sum()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean over time": lambda output, wanted: (output.mean(0) * wanted).sum(),
    "within lengths": lambda output, wanted: sum(
        (_seen(output[:, b : b + 1], slice(2 + b), wanted[b : b + 1]) for b in range(7)), torch.zeros(())
    ),
    "largest over time": lambda output, wanted: (output.amax(0) * wanted).sum(),
    "last step": lambda output, wanted: (output[-1] * wanted).sum(),
    "a window": lambda output, wanted: _seen(output, slice(3, 6), wanted),
    "one class": lambda output, wanted: _seen(output, slice(None), wanted * torch.eye(5, dtype=wanted.dtype)[2]),
    "every step": lambda output, wanted: ((output - wanted) ** 2).sum(),
}
"""What a loss may make of a readout's output [T, B, C]: gradients that stay, vanish or change from step to step."""


@pytest.mark.one_in(10)
@pytest.mark.parametrize("wiring", [WIRINGS[0], WIRINGS[3]], ids="/".join)
@pytest.mark.parametrize("kind", ["leaky", "alif"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_readout_goes_along_whatever_the_loss(name, kind, wiring, passed):
    """Must match; in the loop of simple neurons and in that of all others, with spikes that are wanted as well."""
    wanted = torch.randn(7, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    layers = [*network(kind, wiring)[:1], Wired(11, neuron("leaky_readout", 5), 5, gain=0.3, name="readout")]
    for spikes_too in (False, True):

        def loss(runs: Sequence[LayerRun], *, also: bool = spikes_too) -> Tensor:
            here = LOSSES[name](runs[-1].output, wanted)  # type: ignore[arg-type]
            return here + functional(runs[:1], ("spikes",)) if also else here

        passed.clear()
        kept = {"keep_u": False, "keep_spikes": spikes_too}
        found = result("fused", layers, packed(X), loss=loss, **kept)
        assert_same(found, result("reference", layers, X, loss=loss, **kept), name)
        assert passed == [7]


@pytest.mark.parametrize("changes", [{"beta": [0.5, 0.9]}, {"input_gain": "one_minus_beta"}], ids=str)
def test_a_readout_that_is_more_goes_by_itself(changes, passed):
    """Must match: decays of each unit, and a gain of the current, which no one trace follows."""
    readout = Wired(16, neuron("leaky_readout", 5, **changes), 5, gain=0.3, name="readout")
    layers = [*network("leaky", WIRINGS[0])[:2], readout]
    expected = result("reference", layers, X, loss=readout_alone, keep_u=False, keep_spikes=False)
    assert_same(result("fused", layers, packed(X), loss=readout_alone, keep_u=False, keep_spikes=False), expected)
    assert passed == [7] * 3


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("kind", ["leaky", "alif", "synaptic"])
def test_a_last_layer_of_which_only_the_potential_is_used(kind, window, passed):
    """Must match: it goes back as a readout does, by blocks. Must differ: a reset that gradient or spikes pass."""
    for reset, gradient in itertools.product(options(kind)["reset"], options(kind)["reset_gradient"]):
        last = Wired(16, neuron(kind, 5, reset=reset, reset_gradient=gradient), 5, gain=1.5, name="last")
        layers = [*network("leaky", WIRINGS[3])[:2], last]

        def loss(runs: Sequence[LayerRun]) -> Tensor:
            return functional(runs[-1:], ("u",))

        expected = result("reference", layers, X, loss=loss, window=window)
        passed.clear()
        assert_same(result("fused", layers, packed(X), loss=loss, window=window), expected, f"{reset} {gradient}")
        linear = kind != "alif" and reset != "zero" and (gradient == "detached" or reset == "none")
        joined = linear and kind == "leaky" and window is None
        assert passed == [7] * (2 if joined else 3 if linear else 0)


@pytest.mark.one_in(8)
@pytest.mark.parametrize("window", [1, 5, 12])
@pytest.mark.parametrize("kind", ["leaky", "alif"])
def test_windows_go_by_blocks(kind, window, passed):
    """Must match: the reference, whose states lose their gradient at each border; must differ: one window."""
    for wiring, reset_gradient in itertools.product(WIRINGS, ("detached", "attached")):
        layers = network(kind, wiring, reset_gradient=reset_gradient)
        whole = result("fused", layers, packed(X), loss=readout_alone, keep_u=False, keep_spikes=False)
        passed.clear()
        found = result("fused", layers, packed(X), loss=readout_alone, keep_u=False, window=window)
        assert passed == [7] * 3
        expected = result("reference", layers, X, loss=readout_alone, keep_u=False, window=window)
        assert_same(found, expected, f"{wiring} {reset_gradient}")
        differs = not torch.allclose(found.gradients["0.weight"], whole.gradients["0.weight"])
        assert differs == (window < len(X))


@pytest.mark.parametrize("window", [None, 5])
def test_layers_apart_go_by_blocks(window, passed):
    """Must match: the reference, each layer given the spikes before it as they are; must differ: joined layers."""
    layers = network("leaky", WIRINGS[3])
    found = gradients_apart("fused", layers, packed(X), window)
    assert passed == [7] * 3
    for one, other in zip(found, gradients_apart("reference", layers, X, window), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)
    joined = result("fused", layers, packed(X), keep_u=False, window=window, loss=spikes_alone)
    assert not torch.allclose(found[0], joined.gradients["0.weight"])
    torch.testing.assert_close(found[-2], joined.gradients["2.weight"], rtol=1e-11, atol=1e-12)


def spikes_alone(runs: Sequence[LayerRun]) -> Tensor:
    """A loss of all outputs."""
    return functional(runs, ("spikes",))


def gradients_apart(engine: str, layers: Sequence[Wired], signal: Tensor | SparseSpikes, window: int | None):
    """Of all parameters in order, where no gradient crosses from layer to layer."""
    weights = [weight for layer in layers for weight in layer.parameters()]
    runs = Engine(engine).unroll(layers, signal, window=window, apart=True)
    return torch.autograd.grad(spikes_alone(runs), weights)


@pytest.mark.parametrize("surrogate", ["atan", "fast_sigmoid", "triangle", "sigmoid", "zero"])
def test_slopes_in_the_loop_and_by_torch(surrogate, passed):
    """Must match: three shapes that the loops know, and others that torch computes."""
    assert surrogate in SHAPES
    layers = network("leaky", WIRINGS[0], surrogate=catalogued(surrogate))
    expected = result("reference", layers, X, loss=readout_alone, keep_u=False, keep_spikes=False)
    assert_same(result("fused", layers, packed(X), loss=readout_alone, keep_u=False, keep_spikes=False), expected)
    assert passed


@pytest.mark.parametrize("steps", [1, 2])
def test_one_step_and_one_sample(steps, passed):
    """Must match, where a block is a single row."""
    layers = network("leaky", WIRINGS[3])
    x = (spikes(steps, 1, 17, 0.12) + spikes(steps, 1, 17, 0.05, seed=5)).clamp(max=1)
    expected = result("reference", layers, x, loss=readout_alone, keep_u=False, keep_spikes=False)
    assert_same(result("fused", layers, packed(x), loss=readout_alone, keep_u=False, keep_spikes=False), expected)
    assert passed == [1] * 2


def test_events_with_values_and_numbers_of_each_neuron(passed):
    """Must match: counts in place of ones, and a decay of each neuron that does not learn."""
    layers = network("leaky", WIRINGS[0])
    layers[0].neuron = neuron("leaky", 11, beta=[0.5, 0.9])
    x = X * 2
    expected = result("reference", layers, x, loss=readout_alone, keep_u=False, keep_spikes=False)
    assert_same(result("fused", layers, packed(x), loss=readout_alone, keep_u=False, keep_spikes=False), expected)
    assert passed


@pytest.mark.parametrize("sizes", [(64, 128), (70, 9)], ids=str)
def test_single_precision_at_widths_of_whole_words_and_not(sizes, passed):
    """Expected: `reference` in float64; all sums are exact in both precisions, so that spikes agree."""
    first, second = sizes
    layers = [
        Wired(17, neuron("leaky", first, dyadic=True), first, gain=2.0, unit=0.125),
        Wired(first, neuron("leaky", second, dyadic=True), second, gain=0.5, unit=0.125, name="hidden1"),
        Wired(second, neuron("leaky_readout", 20, dyadic=True), 20, gain=0.3, unit=0.125, name="readout"),
    ]
    x = spikes(8, 7, 17, 0.12)
    expected = result("reference", layers, x, loss=readout_alone, keep_u=False, keep_spikes=False)
    single = [layer.float() for layer in layers]
    found = result("fused", single, packed(x.float()), loss=readout_alone, keep_u=False, keep_spikes=False)
    assert_same(found, expected, rtol=SINGLE)
    assert passed


@pytest.mark.parametrize(("value", "size"), [(1, 64), (2, 64), (1, 33), (1, 70), (2, 108)])
@pytest.mark.parametrize(("kind", "wiring"), [("leaky", WIRINGS[0]), ("leaky", WIRINGS[3]), ("alif", WIRINGS[0])])
def test_pieces_of_neurons_change_no_bit(kind, wiring, value, size, monkeypatch, passed):
    """Expected: the bits of all neurons at once, and `reference`; an event more or less decides."""
    layers, x, calls = network(kind, wiring, (size, 16)), X * value, []
    original = block_layer.gather_pieces
    monkeypatch.setattr(block_layer, "gather_pieces", lambda *given: (calls.append(given), original(*given)))
    a_row = X.count_nonzero().item() / (12 * 7)
    found = []
    for many in (a_row + 1e-9, a_row):
        assert not calls
        monkeypatch.setattr(block_layer, "MANY_A_ROW", many)
        found.append(result("fused", layers, packed(x), loss=readout_alone, keep_u=False, keep_spikes=False))
    assert len(calls) == 1
    layers[0].weight.data = layers[0].weight.detach().T.contiguous().T  # stored by columns
    by_columns = result("fused", layers, packed(x), loss=readout_alone, keep_u=False, keep_spikes=False)
    assert_equal_bits(by_columns._replace(u=[]), found[1]._replace(u=[]), "stored by columns")
    passed[4:] = []
    assert len(passed) == 4
    assert_equal_bits(found[0]._replace(u=[]), found[1]._replace(u=[]), "pieces")
    expected = result("reference", layers, x, loss=readout_alone, keep_u=False, keep_spikes=False)
    assert_same(found[1], expected)


WIDTHS = (1, 15, 16, 17, 48, 63, 64, 65, 79, 80, 81, 100, 112, 113, 120, 127, 128, 129, 191, 193)
"""Of a layer: whole vectors and words, one more and one less, and rows whose padding fills a word."""


@pytest.fixture
def _nothing_is_clean() -> Iterator[None]:
    """Memory that nobody has written holds no numbers and the largest integers."""
    torch.use_deterministic_algorithms(mode=True)
    yield
    torch.use_deterministic_algorithms(mode=False)


@pytest.mark.one_in(5)
@pytest.mark.usefixtures("_nothing_is_clean")
@pytest.mark.parametrize("wiring", [WIRINGS[0], WIRINGS[3]], ids="/".join)
@pytest.mark.parametrize("size", WIDTHS)
def test_every_way_in_which_a_row_can_end(size, wiring, passed):
    """Must match: nothing of a row is lost, and nothing behind it is looked at."""
    classes = 1 + size % 35
    layers = [
        Wired(17, neuron("leaky", size), size, gain=1.5 * (6 / 17) ** 0.5, wiring=wiring),
        Wired(size, neuron("leaky_readout", classes), classes, gain=0.3, name="readout"),
    ]
    expected = result("reference", layers, X, loss=readout_alone, keep_u=False, keep_spikes=False)
    assert_same(result("fused", layers, packed(X), loss=readout_alone, keep_u=False, keep_spikes=False), expected)
    assert passed


def test_threads_do_not_change_a_bit_of_blocks(monkeypatch, passed):
    """Expected: equal bits with 1, 2, 3 and 5 threads, for several blocks in several parts of the batch."""
    for name, value in (("BLOCK", 4), ("PART", 6)):
        monkeypatch.setattr(blocks, name, value)
    monkeypatch.setattr(arrays, "MIN_WORK", 1)
    layers, x = network("alif", WIRINGS[3]), packed(spikes(12, 26, 17, 0.12))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = result("fused", layers, x, loss=readout_alone, keep_u=False, keep_spikes=False)
        assert passed == [4] * 12 + [2] * 2
        for threads in (2, 3, 5):
            torch.set_num_threads(threads)
            found = result("fused", layers, x, loss=readout_alone, keep_u=False, keep_spikes=False)
            bare = [each._replace(u=[]) for each in (found, expected)]  # potentials were not asked for
            assert_equal_bits(*bare, f"{threads} threads")
    finally:
        torch.set_num_threads(before)
    reference = result("reference", layers, x.dense(), loss=readout_alone, keep_u=False, keep_spikes=False)
    assert_clear(reference)
    assert_same(expected, reference)


@pytest.mark.parametrize("recurrence", ["none", "one_to_one", "all_to_all"])
@pytest.mark.parametrize("sizes", [(11, 16), (64, 70)], ids=str)
def test_gradient_goes_back_by_feedback_weights(sizes, recurrence, passed):
    """Between and within layers, in wide and in narrow ones; must differ: by the weights themselves."""
    layers = network("leaky", (recurrence, "full"), sizes)
    own = result("fused", layers, packed(X), loss=readout_alone, keep_u=False, keep_spikes=False)
    random = torch.Generator().manual_seed(4)
    for layer in layers[1:]:
        drawn = torch.randn(layer.weight.shape, generator=random, dtype=torch.float64)
        layer.feedback_weight = 0.2 * drawn
    for layer in layers[:-1] if recurrence != "none" else []:
        drawn = torch.randn(layer.recurrent.shape, generator=random, dtype=torch.float64)
        layer.recurrent_feedback = 0.2 * drawn
    passed.clear()
    found = result("fused", layers, packed(X), loss=readout_alone, keep_u=False, keep_spikes=False)
    assert passed
    assert_same(found, result("reference", layers, X, loss=readout_alone, keep_u=False, keep_spikes=False))
    assert not torch.allclose(found.gradients["0.weight"], own.gradients["0.weight"])


def test_what_does_not_go_by_blocks(passed):
    """Must match, on the way through chunks of time: a loss of potentials, many events, a state to go on from."""
    layers = network("leaky", WIRINGS[3])
    dense = spikes(12, 7, 17, 0.4)
    for x, loss, keep_u in ((X, functional, True), (dense, readout_alone, False)):
        expected = result("reference", layers, x, loss=loss, keep_u=keep_u)
        assert_same(result("fused", layers, packed(x), loss=loss, keep_u=keep_u), expected)
    with torch.no_grad():
        states = [run.state for run in Engine("reference").unroll(layers, X)]
    expected = result("reference", layers, X, loss=readout_alone, states=states, keep_u=False)
    assert_same(result("fused", layers, packed(X), loss=readout_alone, states=states, keep_u=False), expected)
    assert not passed


def test_hidden_layers_that_fire_much_go_back_by_chunks(monkeypatch, passed):
    """Must match; the count of what fired decides, one event on either side of the limit."""
    monkeypatch.undo()
    layers = network("leaky", WIRINGS[0])
    run = result("reference", layers, X, loss=readout_alone, keep_u=False, keep_spikes=False)
    share = max(output.mean().item() for output in run.output[:2])
    for limit, by_blocks in ((share - 1e-9, False), (share, True)):
        monkeypatch.setattr(blocks.matmul, "WEIGHT_DENSE", limit)
        monkeypatch.setattr(blocks, "covers", lambda stages: True)
        seen: list[object] = []
        pull_back = blocks.pull_back_blocks
        monkeypatch.setattr(blocks, "pull_back_blocks", lambda *a: seen.append(a) or pull_back(*a))  # noqa: B023
        assert_same(result("fused", layers, packed(X), loss=readout_alone, keep_u=False, keep_spikes=False), run)
        assert bool(seen) == by_blocks
        monkeypatch.undo()
