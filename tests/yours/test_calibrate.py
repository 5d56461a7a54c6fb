"""A width by passing steps, of words and of modules of snnTorch: what it is, which seed it has, what is refused."""

import json
import math

import pytest
import snntorch
import torch

import sgbench
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.composition.plan import plan
from sgbench.diagnosis.traces import trace
from sgbench.errors import InputError
from sgbench.networks.base import Chain
from sgbench.records.method import method_id
from sgbench.training.build import build
from sgbench.training.calibration import (
    TARGETS,
    calibrate,
    calibrate_plan,
    calibration_of,
    measure_first_pass,
    seed_for_choosing,
    with_width,
)
from tests.messages import raises_naming

WORDS = ("experiment=delayed_xor_v2", "dataset.samples=[120,20,20]", "protocol.batch_size=40")


def traced_steps(words: tuple[str, ...], batches: int) -> float:
    """Passing steps by the reference engine, step by step: sums of what each neuron passes on in some batches."""
    parts = build(compose([*words, "trainer.progress=false"]))
    parts.data.setup()
    total, series = 0.0, 0
    for batch, _ in zip(parts.data.epoch(0), range(batches), strict=False):
        seen = trace(parts.network, batch, parts.objective).layers[0]
        assert seen.slope_at is not None
        slopes = seen.slope_at(seen.potentials())
        total += slopes.abs().double().sum().item()
        series += len(batch.lengths) * seen.neurons
    return total / series


# --- of words


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("surrogate", "reset"), [("atan", "detached"), ("triangle", "attached"), ("fast_sigmoid", "detached")]
)
def test_the_width_has_the_passing_steps_that_are_the_target(surrogate, reset):
    """Expected: the slopes that the reference engine sees at that width, summed here; 3 % for two digits."""
    words = (*WORDS, f"surrogate={surrogate}", f"neuron.reset_gradient={reset}")
    found = sgbench.calibrate(*words)
    assert found.reset_gradient == reset
    assert found.target == TARGETS[reset]
    assert found.word == f"width_fwhm={found.width_fwhm:g}"
    assert found.width_fwhm == float(f"{found.width_fwhm:.2g}")
    has = traced_steps((*words, found.word, "seed=100"), 4)
    assert has == pytest.approx(found.target, rel=0.05)
    assert found.layers[0].passing_steps == pytest.approx(has, rel=1e-3)


@pytest.mark.slow
def test_it_is_measured_with_the_first_tuning_seed_whatever_the_words_say():
    """Expected: equal widths of two seeds; seed 100 and 3 batches of 40. Must differ: another target."""
    one, other = (sgbench.calibrate(*WORDS, f"seed={seed}") for seed in (200, 7))
    assert one == other
    assert (one.seed, one.samples) == (100, 120)
    assert sgbench.calibrate(*WORDS, target=2.0).width_fwhm > one.width_fwhm
    assert sgbench.calibrate(*WORDS, "width_fwhm=3").width_fwhm == one.width_fwhm


def test_a_seed_that_reports_never_chooses():
    """Expected: the first tuning seed; where there is none, the first from 100 on that the protocol has not."""
    protocol = compose(["experiment=delayed_xor_v2"]).method.protocol
    assert seed_for_choosing(protocol) == 100
    assert seed_for_choosing(protocol.model_copy(update={"tuning_seeds": (103, 104)})) == 103
    without = protocol.model_copy(update={"tuning_seeds": None, "seeds": (0, 100, 101)})
    assert seed_for_choosing(without) == 102


def test_auto_is_the_number_in_the_id_and_what_was_measured_is_not():
    """Expected: one width for all seeds of a method, the id of the words with that number, a note beside it."""
    planned = calibrate_plan(
        plan([*WORDS, "surrogate=atan,triangle", "width_fwhm=auto", "seed=200,201"], multirun=True)
    )
    specs = planned.specs
    widths = [spec.method.parameters["surrogate"]["width_fwhm"] for spec in specs]
    assert widths[0] == widths[1] != widths[2] == widths[3]
    assert [spec.seed for spec in specs] == [200, 201, 200, 201]
    by_hand = compose([*WORDS, "surrogate=atan", f"width_fwhm={widths[0]:g}"])
    assert method_id(specs[0].method) == method_id(by_hand.method)
    assert by_hand.calibration is None
    assert specs[0].calibration == sgbench.calibrate(*WORDS, "surrogate=atan")


def test_a_given_width_stays():
    """Expected: the same object, without a measurement."""
    spec = compose([*WORDS, "width_fwhm=0.3"])
    assert calibrate(spec) is spec


def test_two_layers_have_one_width_and_their_mean_is_the_target():
    """Expected: layers on both sides of the target, their mean within the width's rounding; the largest is told."""
    found = sgbench.calibrate(*WORDS, "protocol.hidden=[16,16]")
    steps = [layer.passing_steps for layer in found.layers]
    assert len(steps) == 2
    assert min(steps) < found.target < max(steps)
    assert sum(steps) / 2 == pytest.approx(found.target, rel=0.05)
    assert f"at most {max(steps):.2g}" in found.about


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("experiment=digits",), "the network is not recurrent"),
        ((*WORDS, "network.recurrence_gradient=cut"), "network.recurrence_gradient=cut"),
        ((*WORDS, "surrogate=constant"), "surrogate=constant: has no width"),
        ((*WORDS, "surrogate=zero"), "surrogate=zero: has no width"),
        ((*WORDS, "steepness=learned"), "steepness=learned"),
        ((*WORDS, "steepness=linear"), "steepness=linear"),
        ((*WORDS, "firing=soft"), "firing=soft"),
        ((*WORDS, "rule=eprop"), "rule=eprop"),
        ((*WORDS, "rule.window=5"), "rule.window=5"),
        ((*WORDS, "init.gain=0.001"), "no recurrent neuron fires"),
        ((*WORDS, "init=steady_gradient"), "init=steady_gradient: weights depend on the width"),
        ((*WORDS, "network=gru"), "network=gru: has no spiking neurons"),
    ],
)
def test_what_passing_steps_cannot_choose_is_refused_in_one_line(words, says):
    """Expected: an InputError of one line that names what is in the way."""
    with pytest.raises(InputError) as caught:
        sgbench.calibrate(*words)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("normalisation", ["area1", "raw"])
def test_the_height_of_a_surrogate_is_divided_out(normalisation):
    """Expected: the width of peak 1."""
    words = (*WORDS, "surrogate=sigmoid")
    with_peak = sgbench.calibrate(*words)
    assert sgbench.calibrate(*words, f"surrogate.normalisation={normalisation}").width_fwhm == with_peak.width_fwhm


@pytest.mark.parametrize("reset", ["attached", "detached"])
def test_the_command_prints_all_words_and_tells_beside_them_what_was_measured(capsys, reset):
    """Expected: reset, surrogate and width alone on standard output, for another command; attached unless told."""
    told_otherwise = [f"neuron.reset_gradient={reset}"] if reset == "detached" else []
    found = sgbench.calibrate(*WORDS, f"neuron.reset_gradient={reset}")
    assert main(["calibrate", *WORDS, *told_otherwise]) == 0
    told = capsys.readouterr()
    assert told.out == f"neuron.reset_gradient={reset} surrogate=atan {found.word}\n"
    assert told.err == f"{found.about}\n"
    assert main(["calibrate", *WORDS, *told_otherwise, "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert " ".join(tree.pop("words")) == told.out.strip()
    assert tree == json.loads(found.model_dump_json())


def test_it_costs_one_forward_pass_over_a_few_batches(monkeypatch):
    """By count: four of the eight batches of an epoch go forward once, without a gradient; other weights, again."""
    seen = []

    def counted(network, x, lengths, *others, **more):
        seen.append((x.shape[1], torch.is_grad_enabled()))
        return unrolled(network, x, lengths, *others, **more)

    unrolled = Chain.unroll
    monkeypatch.setattr(Chain, "unroll", counted)
    spec = compose([*WORDS, "dataset.samples=[320,20,20]", "width_fwhm=0.3"])
    found = calibration_of(spec)
    assert seen == [(40, False)] * 4
    first = measure_first_pass(spec)
    seen.clear()
    again = measure_first_pass(with_width(spec, found.width_fwhm), first)
    assert (seen, again.layers) == ([], first.layers)
    others = {name: value + 1 for name, value in first.weights.items()}
    assert measure_first_pass(spec, first._replace(weights=others)).layers is not first.layers
    assert seen == [(40, False)] * 4


# --- of a module of snnTorch


class Net(torch.nn.Module):
    """One recurrent layer of three neurons that hear themselves, over some steps."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []
        torch.manual_seed(0)
        self.inward = torch.nn.Linear(4, 3)
        self.hidden = snntorch.RLeaky(beta=0.8, linear_features=3)
        torch.nn.init.constant_(self.inward.weight, 0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run all steps of x [T, B, 4]."""
        spikes, potential = self.hidden.init_rleaky()
        total = torch.zeros(())
        for now in x:
            spikes, potential = self.hidden(self.inward(now), spikes, potential)
            total = total + spikes
            self.seen.append(potential.detach() - 1.0)
        return total


def test_a_module_of_snntorch_is_calibrated_by_its_own_potentials():
    """Expected in closed form for atan, 1/(1 + (2u/w)^2), summed here over the potentials that it showed."""
    net, x = Net(), torch.rand(12, 5, 4, generator=torch.Generator().manual_seed(1))
    found = sgbench.calibrate(network=net, batch=x, surrogate="atan", target=1.5)
    u = torch.stack(net.seen)
    has = (1 / (1 + (2 * u / found.width_fwhm) ** 2)).sum().item() / (5 * 3)
    assert has == pytest.approx(1.5, rel=0.05)
    assert (found.seed, found.samples, found.reset_gradient) == (None, 5, "attached")
    detached = sgbench.calibrate(network=net, batch=x, reset_gradient="detached")
    assert (detached.reset_gradient, detached.target) == ("detached", TARGETS["detached"])
    assert found.layers[0].name == "hidden"
    assert math.isclose(found.layers[0].passing_steps, has, rel_tol=1e-3)
    assert net.training


def test_a_module_without_recurrent_layers_is_refused():
    """Expected: one line; so are a batch that does not fit, and words beside a network."""
    plain = torch.nn.Sequential(torch.nn.Linear(4, 3), snntorch.Leaky(beta=0.9, init_hidden=True))
    with raises_naming(InputError, "recurrent", "snnTorch's"):
        sgbench.calibrate(network=plain, batch=torch.rand(5, 4))
    with raises_naming(InputError, "batch", "Net"):
        sgbench.calibrate(network=Net(), batch=torch.rand(12, 5, 2))
    with raises_naming(InputError, "calibrate", "overrides", "network"):
        sgbench.calibrate(*WORDS, network=Net(), batch=torch.rand(12, 5, 4))
    with pytest.raises(InputError, match="no recurrent neuron fires"):
        sgbench.calibrate(network=Net(), batch=torch.zeros(12, 5, 4) - 5)


# --- where it is asked for


@pytest.mark.slow
def test_a_run_with_auto_is_that_of_the_number(tmp_path):
    """Expected: the same folder as of the words with the number, and a record that says what was measured."""
    short = [*WORDS, "protocol.epochs=1", f"paths.runs_dir={tmp_path}", "trainer.progress=false", "seed=200"]
    record = sgbench.run(*short, "width_fwhm=auto")
    found = sgbench.calibrate(*WORDS)
    assert record.calibration == found
    again = sgbench.run(*short, found.word)
    assert again == record  # read, not trained again
    other = sgbench.run(*short, "width_fwhm=0.5")
    assert other.calibration is None
    assert other.method_id != record.method_id


@pytest.mark.slow
def test_compare_in_takes_one_measured_width_for_each_surrogate():
    """Expected: a note with each surrogate's word; widths differ between shapes."""
    x = torch.rand(40, 10, 4, generator=torch.Generator().manual_seed(2))
    y = (x.sum((1, 2)) > x.sum((1, 2)).median()).long()
    table = sgbench.compare_in(
        Net, (x, y), surrogates=["atan", "triangle"], width_fwhm="auto", seeds=1, epochs=1, time_first=True,
        progress=False,
    )  # fmt: skip
    words = [note for note in table.notes if "width_fwhm=" in note]
    assert [note.partition(":")[0] for note in words] == ["atan", "triangle"]
    assert len({note.split()[1] for note in words}) == 2
