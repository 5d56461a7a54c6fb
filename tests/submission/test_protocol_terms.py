"""What a protocol allows: a search space in units of the threshold, and a band of parameters.

Expected outcomes follow from the rules; units are converted by hand.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import deviation
from sgbench.records.files import parse_model, to_json
from sgbench.records.spec import Method, Protocol, SearchRange
from sgbench.records.submission import TuningLog
from sgbench.submissions.tuning import log_problems
from sgbench.training.build import build
from tests.leaderboard.factory import method, protocol, record, reference
from tests.messages import raises_naming
from tests.submission.factory import method_id, trial

WIDTH = SearchRange(low=0.5, high=2, scale="log", unit="threshold")
SPACE = {"surrogate.width_fwhm": WIDTH}


def asked(space: dict[str, SearchRange] | None) -> Protocol:
    return protocol().model_copy(update={"search_space": space})


def log_of(*others: Method, chosen: Method) -> TuningLog:
    trials = [trial(chosen, chosen, 0), *(trial(other, chosen, 0, loss=0.5) for other in others)]
    tree = {"schema_version": 1, "protocol": "toy_v1", "method_id": method_id(chosen), "trials": trials}
    return TuningLog.model_validate_json(json.dumps(tree), strict=True)


def wide(width: float, threshold: float | None = None, **changes: dict[str, Any]) -> Method:
    neuron = {} if threshold is None else {"neuron": {"threshold": threshold}}
    return method(parameters={"surrogate": {"width_fwhm": width}, **neuron, **changes})


@pytest.mark.parametrize(
    ("chosen", "others", "said"),
    [
        (wide(1.0, 1.0), [wide(2.0, 1.0), wide(0.5, 1.0)], None),
        (wide(1.0, 1.0), [wide(2.1, 1.0)], "surrogate.width_fwhm is 2.1 at neuron.threshold 1"),
        (wide(3.0, 2.0), [wide(4.0, 2.0)], None),  # 1.5 and 2 thresholds
        (wide(0.9, 2.0), [], "surrogate.width_fwhm is 0.9 at neuron.threshold 2"),  # 0.45 thresholds, untuned
        (wide(1.0, 1.0), [wide(1.0, 1.0, optimizer={"lr": 0.1})], "optimizer.lr differs among"),
        (wide(1.0), [], "has no one positive threshold"),
    ],
)
def test_search_space(chosen, others, said):
    """Expected: the first number beyond its range in thresholds, or that the space does not name; must differ: a
    protocol that leaves the space open complains of none of it."""
    log = log_of(*others, chosen=chosen)
    found = [
        message
        for code, message in log_problems(log, chosen, replace(reference(), protocol=asked(SPACE)))
        if code == "search"
    ]
    assert (said is None) == (found == [])
    assert said is None or found[0].startswith(said) or said in found[0]
    assert [code for code, _ in log_problems(log, chosen, reference())] == []


def test_slopes_are_per_threshold():
    """Expected: a slope of 4 at threshold 0.5 is 2 per threshold, at threshold 2 it is 8."""
    slope = SearchRange(low=1, high=5, scale="log", unit="per_threshold")
    assert slope.holds(4.0, threshold=0.5)
    assert not slope.holds(4.0, threshold=2.0)
    with pytest.raises(ValidationError, match="above 0 on a log scale"):
        SearchRange(low=0, high=5, scale="log", unit="number")


def test_band_refuses_before_a_run_and_on_a_board():
    """Expected: one line with the band and the remedy; must differ: inside the band, and a baseline, which has the
    size of what it stands beside."""
    words = ["protocol=digits_tuned_v1", "engine=reference"]
    with raises_naming(InputError, "4,000", "10,000", "network.hidden"):
        build(compose([*words, "network.hidden=[1000]"]))
    build(compose([*words, "network.hidden=[60]"]))
    build(compose([*words[:1], "network=linear"]))
    banded = protocol().model_copy(update={"parameters": (10, 20)})
    expected = {5: "parameters: 5, toy_v1 allows 10 to 20", 15: None}
    for count, said in expected.items():
        ours = reference().__class__(banded, reference().method, reference().entries)
        found = deviation(record(seed=0).model_copy(update={"parameters": count}), ours)
        assert (found is None) if said is None else (said in str(found))


def test_what_came_later_is_not_written():
    """Expected: a protocol without the new parts has the bytes of one that never knew them; with them it comes back
    as it was."""
    plain = compose(["protocol=digits_v1"]).method
    assert not {"search_space", "parameters"} & json.loads(to_json(plain))["protocol"].keys()
    full = compose(["protocol=digits_tuned_v1"]).method
    assert parse_model(to_json(full), Method, "it") == full
    assert full.protocol.search_space is not None
