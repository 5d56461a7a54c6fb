"""The level that `sgbench diagnose` tells of a recurrent network, by hand and where it is not told."""

import pytest

import sgbench
from sgbench.diagnosis.advice import DETACHED, sentence

WORDS = ("experiment=temporal_order", "dataset.samples=[50,10,10]", "protocol.batch_size=10")


@pytest.mark.parametrize(
    ("steps", "level"),
    [(0.4, "short dependencies only"), (0.5, "fine"), (2.0, "fine"), (2.1, "short"), (22.0, "short"), (23, "fails")],
)
def test_borders_belong_to_the_level_inside(steps: float, level: str) -> None:
    """By hand: fine is 0.5 to 2; from there to 22, and below 0.5, what is near is learnt; above it fails."""
    assert DETACHED.level(steps).startswith(level)
    assert f"reset detached: {level}" in sentence(steps)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("width", "level"), [(0.05, "fine"), (0.5, "short dependencies only"), (4.0, "fails")])
def test_diagnose_tells_the_level_of_a_recurrent_network(width: float, level: str) -> None:
    """Must match: passing steps of the panel decide; they grow with the width."""
    found = sgbench.diagnose(*WORDS, "surrogate=atan", f"width_fwhm={width}", panels=["activity"], batches=1)
    (steps,) = [layer.passing_steps for layer in found.layers if layer.recurrent]
    assert steps is not None
    assert DETACHED.level(steps) == level
    assert found.advice[-1] == sentence(steps)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("word", ["neuron.reset_gradient=attached", "network.recurrence=none"])
def test_other_networks_have_no_level(word: str) -> None:
    """Must differ: with the reset attached or without recurrence nothing is told."""
    found = sgbench.diagnose(*WORDS, "surrogate=atan", "width_fwhm=0.5", word, panels=["activity"], batches=1)
    assert not [line for line in found.advice if line.startswith("level by passing steps")]
