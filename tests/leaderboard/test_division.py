"""In which division a method of the shipped protocols stands; outcomes follow from what `closed` leaves free."""

from __future__ import annotations

import pytest

from sgbench.composition.compose import compose
from sgbench.leaderboard.deviation import compose_reference
from sgbench.leaderboard.division import division_of
from tests.thinned import thinned


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", thinned(["digits", "delayed_xor", "qtdb", "mackey_glass"], 3))
def test_what_the_experiment_runs_is_closed(name: str) -> None:
    """Must match: the experiment, also with another surrogate, slope and learning rate; must differ: its bias."""
    reference = compose_reference(f"{name}_v1")
    plain = [f"experiment={name}"]
    closed = [*plain, "surrogate=triangle", "width_fwhm=0.5", "optimizer.lr=0.1"]
    assert division_of(compose(plain).method, reference) == "closed"
    assert division_of(compose(closed).method, reference) == "closed"
    bias = reference.method.parameters["network"]["bias"]
    assert division_of(compose([*plain, f"network.bias={not bias}"]).method, reference) == "open"


def test_a_protocol_without_an_experiment_is_referred_to_the_defaults() -> None:
    """By hand: digits_tuned_v1 fixes what digits_v1 fixes."""
    reference = compose_reference("digits_tuned_v1")
    assert division_of(compose(["protocol=digits_tuned_v1"]).method, reference) == "closed"
