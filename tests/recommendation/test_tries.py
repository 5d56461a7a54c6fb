"""What is tried first in a recurrent network: order and losses by hand, the width by calibrate."""

from pathlib import Path

import pytest

import sgbench
from sgbench.cli.main import main
from sgbench.recommendation.start import passing_start
from sgbench.recommendation.tries import KnownWay, OwnStart, Ways, shipped_ways, tries
from sgbench.records.files import read_model, to_json

WORDS = ("experiment=temporal_order", "dataset.samples=[50,10,10]", "protocol.batch_size=10")


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Three ways to a setting, one of them a library's, on networks of 40 to 100 steps and 1 to 8 passing steps."""
    ways = (
        KnownWay(name="good", words=("surrogate=atan", "width_fwhm=0.5"), losses={"a": 0.0, "b": 1.0}),
        KnownWay(name="as shipped", losses={"a": 9.0}),
        KnownWay(name="measured", words=("surrogate=triangle", "width_fwhm=auto"), losses={"a": 2.0}),
    )
    path = tmp_path / "ways.json"
    path.write_bytes(to_json(Ways(ways=ways, passing_steps=(1.0, 8.0), steps=(40, 100))))
    return path


def test_settings_stand_in_their_order_with_what_they_lost(known: Path) -> None:
    """By hand: the mean of 0 and 1 is 0.5, most on b; the library's default is compared and not advised."""
    said = tries(known, OwnStart(50, 2.0, 0.28))
    assert said[1] == (
        "First 1: surrogate=atan width_fwhm=0.5 (good): 0.5 points lost on average over 2 tasks, most on b: 1.0."
    )
    assert said[2].startswith("First 2: surrogate=triangle width_fwhm=0.28 (measured): 2.0 points")
    assert said[3].startswith("Beside them as shipped: 9.0 points")
    assert len(said) == 4


def test_what_is_extrapolated_is_named(known: Path) -> None:
    """Must differ: 40 steps and 8 passing steps are known, 39 and 8.1 are not; what is not measured is not told."""
    assert not [line for line in tries(known, OwnStart(40, 8.0)) if "Extrapolated" in line]
    beyond = [line for line in tries(known, OwnStart(39, 8.1)) if line.startswith("Extrapolated")]
    assert len(beyond) == 2
    assert "39 steps a sequence" in beyond[0]
    assert "width_fwhm=auto" in tries(known, OwnStart(50))[2]


def test_the_shipped_losses_put_first_what_lost_least() -> None:
    """Expected: three ways have words, the first the fixed setting of the second study's registration."""
    known = read_model(shipped_ways(), Ways)
    advised = [way for way in known.ways if way.words]
    assert len(advised) == 3
    assert advised[0].words == ("neuron.reset_gradient=attached", "surrogate=atan", "width_fwhm=0.5")
    assert max(advised[0].losses.values()) < min(max(way.losses.values()) for way in known.ways[1:])


def test_passing_steps_of_ones_own_network_choose_the_width() -> None:
    """Expected: the width that calibrate chooses for the same words; none where the recurrent gradient is cut."""
    start = passing_start(WORDS, 80)
    calibrated = sgbench.calibrate(*WORDS, "surrogate=triangle", "neuron.reset_gradient=attached")
    assert start.width_fwhm == calibrated.width_fwhm
    assert start.passing_steps is not None
    assert start.passing_steps > 0
    assert passing_start([*WORDS, "network.recurrence_gradient=cut"], 80) == OwnStart(80)


def test_a_network_without_recurrence_gets_none_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Must differ: a recurrent network has the lines, one without recurrence has not."""
    assert main(["recommend", "--layers", "1", "--steps", "80"]) == 0
    assert "First 1:" not in capsys.readouterr().out
    assert main(["recommend", "--layers", "1", "--recurrent", "--steps", "2000"]) == 0
    said = capsys.readouterr().out
    assert "First 1: neuron.reset_gradient=attached" in said
    assert "Extrapolated: 2,000 steps" in said
