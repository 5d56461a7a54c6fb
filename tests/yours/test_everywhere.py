"""Each network of the list, as its author wrote it, by all that serves a user's network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sgbench
from sgbench.errors import InputError
from sgbench.networks.watching import tensors_in, undisturbed
from sgbench.yours.accelerate import accelerate
from tests.yours.as_written import KINDS
from tests.yours.networks import GENERATED, NETWORKS, NOT_AT_ONCE, close, drawn, trained

RECURRENT = ("rleaky", "rsynaptic", "one_to_one", "recurrent_conv", "lstm", "regression_2", "liquid")
pytestmark = pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")


def made(name: str) -> tuple[nn.Module, Any]:
    torch.manual_seed(1)
    return NETWORKS[name]()


def squares(net: nn.Module, x: Any) -> Tensor:
    out = net(*x) if isinstance(x, tuple) else net(x)
    return torch.stack([each.square().mean() for each in tensors_in(out)]).sum()


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", [*NETWORKS])
def test_a_network_is_served_as_it_is_written(name: str, request: pytest.FixtureRequest) -> None:
    """Expected: outputs, gradients and training of its own forward under the same seeds, and its own loss.

    The page counts what runs by steps. What they do not know is named. Spikes sent are those that the diagnosis sees.
    """
    if name in GENERATED:
        request.getfixturevalue("loops_in_python")
    theirs, args = drawn(NETWORKS[name])
    ours, _ = drawn(NETWORKS[name])
    fast = accelerate(ours, args)
    close(trained(ours, fast, args), trained(theirs, theirs, args))
    said = fast.step_by_step
    assert bool(said) == (name in NOT_AT_ONCE), said
    assert name not in NOT_AT_ONCE or any(NOT_AT_ONCE[name][1] in line for line in said)
    if name == "one_module_for_all_layers":
        with pytest.raises(InputError, match=r"one module for several layers.*give each layer neurons of its own"):
            diagnose(name)
        return
    found = diagnose(name)
    advise(name)
    if name == "notebook_of_parallel_neurons":  # all of it is left out, and a sum of nothing is no number
        with pytest.raises(InputError, match=r"nothing was counted of lif1 \(LeakyParallel\), lif2 "):
            price(name)
        return
    priced = price(name)
    sent = {layer.name: layer.spikes_sent.total for layer in priced.counts.layers}
    steps = priced.counts.steps // priced.counts.samples
    for layer in found.layers:
        if layer.rate_per_step is not None and layer.name in sent:
            spikes = layer.rate_per_step * layer.neurons * priced.counts.samples * steps
            assert sent[layer.name] == pytest.approx(spikes), layer.name


def price(name: str) -> Any:
    """Price a network; what is left out is named, and the sum has a star."""
    network, x = made(name)
    kind = "binary" if all(bool(((each == 0) | (each.abs() == 1)).all()) for each in tensors_in(x)) else "real"
    torch.manual_seed(0)
    priced = sgbench.energy_of(network, x, input_kind=kind, targets=["horowitz_45nm"])
    assert priced["horowitz_45nm"].priced_nj is not None
    shown = " ".join(repr(priced).split())
    assert not priced.left_out or ("nJ *" in shown or "pJ *" in shown)
    assert not priced.left_out or priced.left_out[0] in shown
    return priced


def diagnose(name: str) -> Any:
    """Diagnose a network, which is left as it was: the same loss from rest, buffers, gradients and mode."""
    network, x = made(name)
    network.eval()  # as energy is counted
    buffers, gradients = dict(network.named_buffers()), [weight.grad for weight in network.parameters()]
    torch.manual_seed(0)
    found = sgbench.diagnose_module(network, x, squares)
    assert found.layers
    assert all(buffers[key] is buffer for key, buffer in network.named_buffers())
    assert all(weight.grad is grad for weight, grad in zip(network.parameters(), gradients, strict=True))
    assert not network.training
    with undisturbed(network):
        torch.manual_seed(0)
        assert found.loss == pytest.approx(squares(network, x).item(), rel=1e-5)
    return found


def advise(name: str) -> None:
    """A width is chosen where neurons hear themselves, in words for a module."""
    network, x = made(name)
    advice = str(sgbench.recommend(network=network, batch=x))
    assert "sgbench.use(net" in advice
    assert "neuron." not in advice
    if any(word in name for word in RECURRENT):
        assert str(sgbench.calibrate(network=network, batch=x)).startswith('sgbench.use(net, surrogate="atan", width_')
    else:
        with pytest.raises(InputError, match=r"sgbench\.recommend\(network="):
            sgbench.calibrate(network=network, batch=x)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*KINDS])
def test_each_kind_is_compared_in_on_the_engine(name: str) -> None:
    """One epoch on 12 samples of the network's own form; the table says that it ran on the engine."""
    _, x = made(name)
    time_first = x.dim() > 2  # [T, B, ...]; else a static image [B, N]
    samples = torch.cat([x] * 3, dim=1).transpose(0, 1) if time_first else torch.cat([x] * 3)
    labels = torch.arange(12) % 2
    table = sgbench.compare_in(
        lambda: NETWORKS[name]()[0],
        (samples, labels),
        test=(samples, labels),
        validation=(samples, labels),
        surrogates=["atan", "own"],
        seeds=1,
        epochs=1,
        batch_size=4,
        time_first=time_first,
        progress=False,
    )
    assert "2 runs on the engine" in repr(table), repr(table)
    assert "written" not in repr(table)


def test_a_recurrent_network_without_spikes_is_told_what_to_do_in_the_words_of_torch() -> None:
    """Must differ: no word of an override, such as init.gain=3, which a torch module does not have."""
    network, x = made("rleaky_with_a_dense_readout")
    network.rlif.threshold.fill_(1e3)  # type: ignore[operator, union-attr]
    with pytest.raises(InputError, match="no recurrent neuron fires in the batch \\(rlif\\)") as caught:
        sgbench.calibrate(network=network, batch=x)
    assert "threshold=0.5" in str(caught.value)
    assert "init.gain" not in str(caught.value)


def test_a_module_for_two_layers_is_left_out_of_a_diagnosis_and_named() -> None:
    """snnTorch's first tutorial of regression calls one module for 9 neurons, then for 1."""
    found = sgbench.diagnose_module(*made("tutorial_of_regression_1"), squares)
    assert [layer.name for layer in found.layers] == ["lif_in"]
    assert "currents of shapes (1, 9) and (1, 1)" in " ".join(found.advice)
