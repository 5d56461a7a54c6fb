"""Records from before a field was counted load, keep their bytes, and cost what they did."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgbench.energy.price import load_targets, price
from sgbench.records.counts import OpCounts
from sgbench.records.files import read_bytes, read_model, to_json
from sgbench.records.record import RunRecord
from tests.energy.networks import spiking

BOARD = Path(__file__).resolve().parent.parent.parent / "leaderboards" / "digits_v1" / "records"
RECORDS = sorted(BOARD.rglob("0.json"))
LATER = ("weights", "zero_weights", "fan_in", "synapses_per_pair", "function_evaluations", "spread")


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)
def test_committed_records_keep_their_bytes(path):
    """Expected: reading and writing changes nothing, whichever fields the record has."""
    assert to_json(read_model(path, RunRecord)) == read_bytes(path)


def test_some_committed_records_are_old():
    """A guard: the test above sees records without the later fields."""
    assert any('"spread"' not in path.read_text() for path in RECORDS)


def test_later_fields_are_not_written_where_they_are_unknown():
    """Must differ: a known number of weights is written, an unknown one leaves no key."""
    tree = spiking().model_dump(mode="json")
    groups = [group for layer in tree["layers"] for group in layer["synapses"]]
    assert not any(name in part for name in LATER for part in (tree, *tree["layers"], *groups))
    known = spiking().layers[0].synapses[0].model_copy(update={"weights": 32})
    assert known.model_dump(mode="json")["weights"] == 32


def test_an_old_record_costs_what_a_new_one_does():
    """Stored weights of dense layers follow from their dense operations, so no price needs the later fields."""
    old = spiking()
    new = old.model_copy(
        update={
            "layers": tuple(
                layer.model_copy(
                    update={"synapses": tuple(g.model_copy(update={"weights": w}) for g in layer.synapses)}
                )
                for layer, w in zip(old.layers, (32, 16), strict=True)
            )
        }
    )
    assert OpCounts.model_validate(new.model_dump()) == new
    for target in load_targets(everything=True).values():
        assert price(old, target=target, dt_s=1e-3) == price(new, target=target, dt_s=1e-3)
