"""What is tried first in a recurrent network: order and losses by hand, the width by calibrate, one source."""

import json
import re
from pathlib import Path

import pytest
import snntorch as snn
import torch
from torch import nn

import sgbench
from sgbench.cli.main import main
from sgbench.recommendation.front import advice_by_kind
from sgbench.recommendation.start import passing_start
from sgbench.recommendation.summary import Shape, read_summary, shipped_summary
from sgbench.recommendation.tries import KnownWay, OwnStart, Reach, Ways, first_tries, shipped_ways
from sgbench.records.files import read_model, to_json
from tests.figures import figures
from tests.messages import lines_naming, missing

WORDS = ("experiment=temporal_order", "dataset.samples=[50,10,10]", "protocol.batch_size=10")
REACH = Reach(
    steps=(40, 100),
    passing_steps=(1.0, 8.0),
    channels=(4, 64),
    neurons=(16, 64),
    layers=(1, 1),
    analogue=False,
)


def write(folder: Path, **later: dict[str, float]) -> Path:
    """Write three ways to a setting, one of them a library's, and what some lost on later tasks."""
    ways = (
        KnownWay(
            name="good",
            words=("surrogate=atan", "width_fwhm=0.5"),
            why="simple",
            losses={"a": 0.0, "b": 1.0},
            later=later.get("good", {}),
            later_seeds="five" if "good" in later else None,
        ),
        KnownWay(name="as shipped", losses={"a": 9.0}),
        KnownWay(
            name="measured",
            words=("surrogate=triangle", "width_fwhm=auto"),
            why="its own width",
            cost="one forward pass",
            losses={"a": 2.0},
        ),
    )
    path = folder / "ways.json"
    path.write_bytes(to_json(Ways(answer="Not decided yet.", ways=ways, reach=REACH)))
    return path


def test_settings_stand_in_their_order_with_reason_cost_and_what_they_lost(tmp_path: Path) -> None:
    """By hand: the mean of 0 and 1 is 0.5, most on b; the library's default is compared and not advised."""
    found = first_tries(write(tmp_path), OwnStart(50, 2.0, 0.28))
    head, first, second, default = found.lines
    assert lines_naming(head, "2", "Not decided yet.")
    assert lines_naming(
        first, "First 1", "surrogate=atan width_fwhm=0.5", "simple", "no run", "not confirmed"
    )
    assert lines_naming(
        second, "First 2", "surrogate=triangle width_fwhm=0.28", "its own width", "one forward pass"
    )
    assert lines_naming(default, "as shipped", "not confirmed")
    # Points on average, tasks, and points of the worst task.
    lost = [figures(line.partition("not confirmed")[2]) for line in (first, second, default)]
    assert lost == [[0.5, 2, 1.0], [2.0, 1, 2.0], [9.0, 1, 9.0]]
    assert [re.findall(r'"(\w+)"', line) for line in (first, second, default)] == [["b"], ["a"], ["a"]]


def test_losses_on_new_tasks_stand_before_those_found_after_the_runs(tmp_path: Path) -> None:
    """Must differ: a way that was run on new tasks tells of them first, another one does not."""
    first, second = first_tries(write(tmp_path, good={"new": 3.0, "newer": 1.0}), OwnStart(50)).lines[1:3]
    assert lines_naming(first, "2.0 points", "five", "2", '"new"', "3.0")
    assert first.index("nobody had run") < first.index("not confirmed")
    assert "nobody had run" not in second


def test_what_is_extrapolated_is_named(tmp_path: Path) -> None:
    """Must differ: what lies in the reach of the tasks is not told, nor what was not measured; the rest is."""
    path = write(tmp_path)
    inside = OwnStart(40, 8.0, channels=4, neurons=64, layers=1, analogue=False)
    assert first_tries(path, inside).beyond == ()
    outside = OwnStart(39, 8.1, channels=2, neurons=65, layers=2, analogue=True)
    said = first_tries(path, outside).beyond
    *numbers, analogue = said
    names = ("39 steps", "8.1 passing steps", "2 input channels", "65 neurons", "2 hidden layers")
    assert [missing(text, name) for text, name in zip(numbers, names, strict=True)] == [[]] * len(names)
    assert lines_naming(analogue, "analogue")
    assert "width_fwhm=auto" in first_tries(path, OwnStart(50)).lines[2]


def test_the_shipped_losses_put_the_rule_first() -> None:
    """Expected: three ways have words; the first is the published rule, or before a verdict what lost least."""
    known = read_model(shipped_ways(), Ways)
    advised = [way for way in known.ways if way.words]
    assert len(advised) == 3
    assert known.ways[0].name == (known.rule or "attached, fixed setting")
    assert all(way.why for way in advised)
    assert ("Not decided yet" in known.answer) == (known.rule is None)


@pytest.mark.slow
def test_passing_steps_of_ones_own_network_choose_the_width() -> None:
    """Expected: the width that calibrate chooses for the same words; none where the recurrent gradient is cut."""
    shape = Shape(layers=1, recurrent=True, steps=80)
    start = passing_start(WORDS, shape)
    calibrated = sgbench.calibrate(*WORDS, "surrogate=triangle", "neuron.reset_gradient=attached")
    assert start.width_fwhm == calibrated.width_fwhm
    assert start.passing_steps is not None
    assert start.passing_steps > 0
    assert (start.channels, start.neurons, start.analogue) == (30, 64, False)
    assert passing_start([*WORDS, "network.recurrence_gradient=cut"], shape) == OwnStart(80, layers=1)


@pytest.mark.slow
def test_python_and_the_command_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Must match: the lines of the command are those of the answer in Python, the user's own width among them."""
    found = sgbench.recommend(*WORDS)
    assert found.tries is not None
    assert main(["recommend", *WORDS]) == 0
    assert capsys.readouterr().out.splitlines() == found.lines
    assert main(["recommend", *WORDS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tries"] == found.tries.tree
    measured = sgbench.calibrate(*WORDS, "surrogate=triangle", "neuron.reset_gradient=attached").width_fwhm
    assert any(f"width_fwhm={measured:g}" in way.words for way in found.tries.ways)


class Own(nn.Module):
    """A recurrent network of somebody's own, steps first."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.into, self.out = nn.Linear(3, 8), nn.Linear(8, 2)
        self.hidden = snn.RLeaky(beta=0.9, linear_features=8, init_hidden=False)
        self.readout = snn.Leaky(beta=0.9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The spikes of the last step."""
        spikes, potential = self.hidden.init_rleaky()
        last, sent = self.readout.init_leaky(), None
        for step in x:
            spikes, potential = self.hidden(self.into(step), spikes, potential)
            sent, last = self.readout(self.out(spikes), last)
        assert sent is not None
        return sent


def test_a_module_of_ones_own_has_its_batch_measured() -> None:
    """Expected: the three settings, analogue input named, and without recurrence none of it."""
    batch = 3 * torch.rand(20, 5, 3, generator=torch.Generator().manual_seed(2))
    found = sgbench.recommend(network=Own(), batch=batch)
    assert found.tries is not None
    assert len(found.tries.ways) == 3
    assert any(word.startswith("width_fwhm=0.") for way in found.tries.ways for word in way.words)
    assert "width_fwhm=auto" not in " ".join(found.lines)
    assert any("20 steps a sequence" in text for text in found.tries.beyond)
    forward = nn.Sequential(nn.Linear(3, 8), snn.Leaky(beta=0.9, init_hidden=True), nn.Linear(8, 2))
    assert sgbench.recommend(network=forward, batch=batch[0]).tries is None


def test_a_network_without_recurrence_gets_none_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Must differ: a recurrent network has the lines, one without recurrence has not."""
    assert main(["recommend", "--layers", "1", "--steps", "80"]) == 0
    assert "First 1:" not in capsys.readouterr().out
    assert main(["recommend", "--layers", "1", "--recurrent", "--steps", "2000"]) == 0
    said = capsys.readouterr().out
    assert lines_naming(said, "First 1", "neuron.reset_gradient=attached")
    assert "Extrapolated: 2,000 steps" in said


def test_first_settings_keep_the_budget_and_are_of_accuracy_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: one may be tried, so one stands in front. Must differ: losses of accuracy tell no spikes."""
    recurrent = ["recommend", "--layers", "1", "--recurrent", "--steps", "80"]
    assert main([*recurrent, "--budget", "1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Recurrent: 1 to try first")
    assert said.count("\nFirst ") == said.count("\nTry ") == 1
    for goal in ("spikes", "safety"):
        assert main([*recurrent, "--for", goal]) == 0
        said = capsys.readouterr().out
        assert "to try first" not in said
        assert "\nTry 1: surrogate=" in said


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (None, "with recurrence atan at a width of 0.2"),
        (
            ("neuron.reset_gradient=attached", "surrogate=atan", "width_fwhm=0.5"),
            "of 0.5 and the reset attached",
        ),
        (
            ("neuron.reset_gradient=attached", "surrogate=triangle", "width_fwhm=auto"),
            "triangle at a width by passing",
        ),
    ],
)
def test_the_front_page_follows_the_rule(rule: tuple[str, ...] | None, says: str) -> None:
    """Must differ: before a verdict the first study's advice stands, then that of the rule; other kinds stay."""
    way = KnownWay(name="rule", words=rule or (), losses={"a": 1.0}, later={"new": 2.0, "newer": 1.0})
    ways = Ways(answer="", rule=None if rule is None else "rule", ways=(way,), reach=REACH)
    summary = read_summary(shipped_summary())
    advice = {one.network: one for one in advice_by_kind(summary, ways)}
    assert says in advice["recurrence"].sentence
    before = {one.network: one for one in advice_by_kind(summary)}
    assert advice["one hidden layer"] == before["one hidden layer"]
    assert advice["recurrence over a thousand steps"] == before["recurrence over a thousand steps"]
    assert ("1.5 points" in advice["recurrence"].loss) == (rule is not None)
