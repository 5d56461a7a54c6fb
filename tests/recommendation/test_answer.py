"""One answer everywhere: what is printed is advised, its numbers are the studies', and it knows its limits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import snntorch as snn
import torch
import yaml
from torch import nn

import sgbench
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.networks.watching import reset_gradient_of
from sgbench.neurons.gated import passes_reset
from sgbench.recommendation.advice import COLUMNS, advise
from sgbench.recommendation.answer import AdvisedSetting, MeasuredNetwork, NetworkAdvice, StudyAnswer, read_answer
from sgbench.recommendation.start import measure_module
from sgbench.records.files import to_json
from sgbench.training.build import build
from sgbench.yours.snntorch_neurons import surrogate_of
from study.answer import Choices, Known, answer_of, passages, stale
from study.reporting.results import ResultGroup, SettingResult, StudyFigure
from tests.documents import ROOT
from tests.messages import raises_naming

ANSWER = read_answer()
ADVISED = sorted(
    {one for advice in ANSWER.networks for rows in advice.settings.values() for one in rows},
    key=lambda one: (one.surrogate, one.width_fwhm, str(one.reset_gradient)),
)
KINDS = (
    MeasuredNetwork(1, recurrent=False, steps=50),
    MeasuredNetwork(4, recurrent=False, steps=25),
    MeasuredNetwork(1, recurrent=True, steps=80),
    MeasuredNetwork(2, recurrent=True, steps=1300),
)
UNIQUE = [*{(one.words, one.call): one for one in ADVISED}.values()]


class Recurrent(nn.Module):
    """Has one recurrent layer of snnTorch's and a readout."""

    def __init__(self) -> None:
        super().__init__()
        self.inward, self.outward = nn.Linear(6, 12), nn.Linear(12, 3)
        self.hidden, self.answer = snn.RLeaky(beta=0.9, linear_features=12), snn.Leaky(beta=0.9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The potentials of the readout in the last step of [time, batch, channels]."""
        spikes, potential = self.hidden.init_rleaky()
        last = self.answer.init_leaky()
        for step in x:
            spikes, potential = self.hidden(self.inward(step), spikes, potential)
            _, last = self.answer(self.outward(spikes), last)
        return last


def test_every_page_has_the_answer_that_the_studies_give() -> None:
    """Must match: answer.json, README and the guide; `python -m study answer` writes them."""
    assert stale(ROOT) == []


@pytest.mark.parametrize("setting", UNIQUE, ids=lambda one: f"{one.surrogate}-{one.width_fwhm:g}-{one.reset_gradient}")
def test_printed_words_have_the_peak_and_width_that_are_advised(setting: AdvisedSetting) -> None:
    """Expected, of overrides and of the call: a peak of 1, the width, the reset; measured on the curve itself."""
    spec = compose(["experiment=temporal_order", *setting.words])
    neuron = build(spec).network.hidden_layers[0].neuron
    net = nn.Sequential(nn.Linear(2, 3), snn.RLeaky(beta=0.9, linear_features=3, init_hidden=True))
    eval(setting.call, {"sgbench": sgbench, "net": net})  # noqa: S307 - our own answer
    for surrogate in (neuron.surrogate, surrogate_of(net[1])):
        u = torch.linspace(-6, 6, 240_001, dtype=torch.float64)
        slope = surrogate.derivative(u).abs()
        above = u[slope >= slope.max() / 2]
        assert slope.max().item() == pytest.approx(1.0, abs=1e-6)
        assert (above[-1] - above[0]).item() == pytest.approx(setting.width_fwhm, abs=2e-4)
    if setting.reset_gradient is not None:
        assert passes_reset(neuron) == (setting.reset_gradient == "attached")
        assert reset_gradient_of(net[1]) == setting.reset_gradient


STATED = re.compile(
    r"`(?:snntorch\.)?(?:surrogate\.)?(\w+)\(slope=([\d.]+)\)` has\s+(?:a|the)\s+width of\s+"
    r"(?:our `\w+`\s+at\s+)?([\d.]*\d)\s+and\s+a peak of\s+([\d.]*\d)"
)


@pytest.mark.parametrize("page", ["README.md", "docs/which_surrogate.md"])
def test_words_for_snntorch_alone_have_the_width_and_peak_that_stand_beside_them(page: str) -> None:
    """Expected: measured on the gradient that snnTorch itself gives; the stated peaks are rounded to two digits."""
    found = STATED.findall((ROOT / page).read_text())
    assert found
    for name, slope, width, peak in found:
        u = torch.linspace(-3, 3, 120_001, dtype=torch.float64, requires_grad=True)
        getattr(snn.surrogate, name)(slope=float(slope))(u).sum().backward()
        assert u.grad is not None
        above = u.detach()[u.grad >= u.grad.max() / 2]
        assert u.grad.max().item() == pytest.approx(float(peak), abs=0.005)
        assert (above[-1] - above[0]).item() == pytest.approx(float(width), abs=0.002)


@pytest.mark.parametrize("network", KINDS, ids=lambda one: f"{one.layers}-{one.recurrent}-{one.steps}")
def test_command_and_pages_say_the_same(network: MeasuredNetwork, capsys: pytest.CaptureFixture[str]) -> None:
    """For one layer, several, recurrent and long: settings of command, README and guide."""
    advice = ANSWER.of(network)
    rows = advice.settings["accuracy"]
    words = ["--layers", str(network.layers), "--steps", str(network.steps), *(["--recurrent"] * network.recurrent)]
    assert main(["recommend", *words]) == 0
    printed = capsys.readouterr().out
    tables = [one.text for one in passages(ANSWER) if one.name == "table"]
    for row in rows:
        assert " ".join(row.words) in printed
        for table in tables:
            (line,) = [each for each in table.splitlines() if each.startswith(f"| {advice.network}") and "|" in each][
                :1
            ]
            assert f"`{row.surrogate}` {row.width_fwhm:g}" in line


@pytest.mark.parametrize("in_snntorch", [False, True])
@pytest.mark.parametrize("network", KINDS, ids=lambda one: f"{one.layers}-{one.recurrent}-{one.steps}")
def test_the_answer_fits_a_terminal(network: MeasuredNetwork, in_snntorch: bool) -> None:
    """At most three rows of words, 80 columns, and what a setting lost beside it; the rest stands under why."""
    found = advise(ANSWER, network, in_snntorch=in_snntorch)
    assert max(map(len, [*found.lines, *found.why])) <= COLUMNS
    assert 1 <= len(found.to_try) <= 3
    assert [line for line in found.lines if line in found.to_try] == list(found.to_try)
    assert sum(line.startswith("Doubt: ") for line in found.lines) == 1
    assert len(found.lines) <= 14


def test_a_recurrent_answer_attaches_the_reset_and_names_the_height() -> None:
    """Expected, of the third study: attached, peak 1, sigmoid 0.5 and atan 0.5; the condition beside it."""
    found = advise(ANSWER, KINDS[2])
    assert [one.words for one in found.settings] == [
        ("neuron.reset_gradient=attached", "surrogate=sigmoid", "width_fwhm=0.5"),
        ("neuron.reset_gradient=attached", "surrogate=atan", "width_fwhm=0.5"),
    ]
    assert "provisional" in advise(ANSWER, KINDS[3]).lines[0]
    assert "peaks above 5 harm" in " ".join(found.why)
    assert "reset" not in " ".join(advise(ANSWER, KINDS[0]).to_try)


def made(**reach: tuple[float, float]) -> StudyAnswer:
    """An answer for recurrent networks alone."""
    setting = AdvisedSetting(surrogate="atan", width_fwhm=0.2, rests_on="a test")
    of_kind = NetworkAdvice(
        network="recurrent",
        recurrent=True,
        layers=(1, None),
        settings={"accuracy": (setting,) * 3},
        against="the best",
        doubt="none.",
        reach={name.replace("_", " "): ends for name, ends in reach.items()},
    )
    return StudyAnswer(lines=(), condition="peak.", networks=(of_kind,))


def test_what_lies_outside_is_said() -> None:
    """By hand: 300 steps above 40 to 100, the second layer's 0.001 spikes below 0.01; must differ: inside."""
    answer = made(steps=(40, 100), spikes_a_neuron_and_step=(0.01, 0.1))
    network = MeasuredNetwork(2, recurrent=True, steps=300, spikes_per_step=(0.05, 0.001))
    assert advise(answer, network).outside == (
        "300 steps (ours: 40 to 100)",
        "0.001 spikes a neuron and step (ours: 0.01 to 0.1)",
    )
    inside = MeasuredNetwork(2, recurrent=True, steps=100, spikes_per_step=(0.05, 0.01))
    assert advise(answer, inside).outside == ()
    assert not any(line.startswith("Beyond") for line in advise(answer, inside).lines)


def test_a_budget_cuts_the_settings_and_an_unmeasured_goal_is_refused() -> None:
    """By hand: one of three; and this answer has no setting for few spikes."""
    network = MeasuredNetwork(1, recurrent=True, steps=50)
    assert len(advise(made(), network, budget=1).settings) == 1
    with raises_naming(InputError, "--for spikes", "recurrent"):
        advise(made(), network, goal="spikes")
    with raises_naming(InputError, "--summary"):
        advise(made(), KINDS[0])


def test_a_module_is_measured_and_answered_in_snntorch() -> None:
    """Expected: spikes a neuron and step counted here by hooks; the call sets the layers when typed."""
    torch.manual_seed(0)
    net, batch = Recurrent(), (torch.rand(20, 4, 6) < 0.5).float() * 3
    sent: list[torch.Tensor] = []
    handle = net.hidden.register_forward_hook(lambda _, __, output: sent.append(output[0].detach()))
    found = measure_module(net, batch)
    handle.remove()
    assert found.spikes_per_step == pytest.approx([torch.stack(sent[:20]).mean().item()])
    assert (found.layers, found.recurrent, found.steps) == (1, True, 20)
    assert (found.passing_steps or 0) > 0
    assert 0 < (found.near_share or 0) <= 2
    said = sgbench.recommend(network=net, batch=batch)
    assert all(line.startswith("sgbench.use(net, ") for line in said.to_try)
    eval(said.to_try[1], {"sgbench": sgbench, "net": net})  # noqa: S307 - our own answer
    assert surrogate_of(net.hidden).fwhm == pytest.approx(0.5)


def results(loss: float) -> Known:
    """Two settings on two tasks: by hand a mean of `loss` + 1 and a worst of `loss` + 2 for the first."""
    settings = (
        SettingResult(surrogate="atan", width_fwhm=0.2, losses={"a": loss, "b": loss + 2}, log_spikes=1.0),
        SettingResult(surrogate="triangle", width_fwhm=1.0, losses={"a": loss + 1, "b": loss + 1}, log_spikes=-1.0),
    )
    group = ResultGroup(against="the best", seeds="5 seeds", settings=settings)
    return Known({"made": group}, {"gain": StudyFigure(mean=loss, low=0.0, high=9.0)})


CHOICES = """
condition: none.
lines: ["Gained {gain}, so {gain.point}."]
networks:
  - network: recurrent
    recurrent: true
    layers: [1, null]
    group: made
    settings: [{surrogate: atan, width_fwhm: 0.2}, {surrogate: sigmoid, width_fwhm: 0.5}]
    doubt: none.
"""


def test_a_number_that_changes_in_a_summary_changes_in_the_answer_and_on_every_page() -> None:
    """By hand: a loss of 1 is told as mean 2 and worst 3, one of 4 as 5 and 6; what was not run says so."""
    choices = Choices.model_validate(yaml.safe_load(CHOICES))
    for loss in (1.0, 4.0):
        answer = answer_of(choices, results(loss))
        atan, sigmoid = answer.networks[0].settings["accuracy"]
        assert (atan.mean_loss, atan.worst_loss, atan.worst_on) == (loss + 1, loss + 2, "b")
        assert sigmoid.mean_loss is None
        assert answer.lines == (f"Gained {loss:.1f} (0.0 to 9.0), so {loss:.1f}.",)
        texts = [one.text for one in passages(answer)]
        assert sum(f"{loss + 1:.1f} ({loss + 2:.1f})" in text for text in texts) == 2
        assert sum(f"Gained {loss:.1f}" in text for text in texts) == 2
        assert [one.surrogate for one in answer.networks[0].settings["spikes"]] == ["triangle", "atan"]
        assert [one.surrogate for one in answer.networks[0].settings["safety"]] == ["triangle", "atan"]


def test_a_choice_without_results_is_refused(tmp_path: Path) -> None:
    """The error names the group or the figure that no study has."""
    choices = Choices.model_validate(yaml.safe_load(CHOICES))
    with raises_naming(InputError, "made"):
        answer_of(choices, Known({}, results(1.0).figures))
    with raises_naming(InputError, "gain"):
        answer_of(choices, Known(results(1.0).groups, {}))


def test_another_answer_is_read_from_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The option --summary names it; its one kind of network is advised and no other."""
    path = tmp_path / "other.json"
    path.write_bytes(to_json(made()))
    assert main(["recommend", "--layers", "1", "--recurrent", "--summary", str(path)]) == 0
    assert "a test" in capsys.readouterr().out
    assert main(["recommend", "--layers", "1", "--summary", str(path)]) == 2


def test_json_has_the_settings_and_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """The same words as the table, and the network's own numbers."""
    assert main(["recommend", "--layers", "2", "--start-spikes", "5,1", "--steps", "50", "--json"]) == 0
    tree = yaml.safe_load(capsys.readouterr().out)
    assert tree["to_try"][0] == "surrogate=atan width_fwhm=0.2"
    assert tree["shape"]["spikes_per_step"] == [0.1, 0.02]
    assert {"goal", "kind", "surrogate", "width_fwhm", "settings", "outside", "doubt"} <= tree.keys()
