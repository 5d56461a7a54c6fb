"""The cost of a training, by hand and against torch's own counter of floating-point operations."""

from __future__ import annotations

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.energy.count import OperationCounter
from sgbench.energy.training_cost import training_cost
from sgbench.errors import InputError
from sgbench.records.files import to_json
from sgbench.signals.trajectory import SPIKES, Batch
from sgbench.training.build import build
from tests.leaderboard.factory import record

SIZES = {"train": 10, "validation": 5}
CUT = ("network.recurrence=all_to_all", "network.recurrence_gradient=cut")


def parts_of(*words):
    """Parts of a small run."""
    return build(compose(["engine=reference", "protocol.batch_size=4", *words]))


def costed(*words):
    """A record of two epochs whose counts are those of one batch of noise."""
    spec = compose(["engine=reference", *words])
    parts = build(spec)
    x = (torch.rand(25, 4, 64, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    batch = Batch(x=x, target=torch.zeros(4), lengths=torch.full((4,), 25), position=torch.arange(4))
    counter = OperationCounter(parts.network, "binary", bits=32)
    with torch.no_grad():
        counter.update(batch, parts.network.unroll(x, batch.lengths, keep=frozenset({SPIKES})))
    return record().model_copy(update={"method": spec.method, "counts": counter.result()})


@pytest.mark.parametrize(
    ("words", "ratios"),
    [
        ((), (1, 1, 64 * 10 / (64 * 64 + 64 * 10))),
        (("protocol.hidden=[8,4]",), (1, 1, (32 + 40) / (512 + 32 + 40))),
        (("protocol.hidden=[8]", "network.recurrence=all_to_all"), (1, 1, (64 + 80) / (512 + 64 + 80))),
        (
            ("protocol.hidden=[8]", *CUT),
            (1, 1, 80 / (512 + 64 + 80)),
        ),
        (("protocol.hidden=[8]", "rule=frozen", "rule.learn=readout"), (1, 80 / 592, 0)),
        (("protocol.hidden=[8,4]", "rule=feedback_alignment"), (1, 1, (32 + 40) / (512 + 32 + 40))),
        (("protocol.hidden=[8,4]", "rule=ottt"), (1, 1, (32 + 40) / (512 + 32 + 40))),
        (("protocol.hidden=[8,4]", "rule=dfa"), (1, 1, (80 + 40) / (512 + 32 + 40))),
        (("protocol.hidden=[8]", "network.recurrence=all_to_all", "rule=sdfa"), (1, 1, (64 + 80) / 656)),
        (
            ("protocol.hidden=[8]", *CUT, "rule=eprop", "rule.form=unrolled"),
            (1, 1, 80 / (512 + 64 + 80)),
        ),
        (("protocol.hidden=[8,4]", "rule=local"), (1, 1, 2 * (80 + 40) / (512 + 32 + 40))),
        (("protocol.hidden=[8]", "rule=frozen"), (1, 0, 0)),
    ],
)
def test_by_hand(words, ratios):
    """64 pixels, 10 classes: shares of the synapses that a gradient reaches and crosses, counted on paper."""
    found = training_cost(costed(*words), SIZES)
    synapses = found.forward / (25 * 10 * 2)
    assert synapses == int(synapses)
    shares = (found.forward, found.weight_gradients, found.input_gradients)
    assert [share / found.forward for share in shares] == pytest.approx(ratios)
    assert found.validation == found.forward / 2
    assert found.total == sum(shares) + found.validation


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("protocol.hidden=[8,4]",),
        ("protocol.hidden=[8,4]", "rule=drtp"),
        ("rule=eprop", "rule.form=unrolled"),
    ],
)
def test_torch_counts_as_many(words):
    """Two floating-point operations a product; the input is dense, so that torch's own products are made of it."""
    # In float64 all products are torch's own, which it counts.
    parts = parts_of("encoder=direct", "protocol.precision=float64", *words)
    parts.data.setup()
    batch = next(iter(parts.data.epoch(0)))
    assert isinstance(batch.x, torch.Tensor)
    with FlopCounterMode(display=False) as counter:
        for _ in parts.rule.gradients(parts.network, batch, parts.objective):
            pass
    found = training_cost(costed(*words), {"train": len(batch.target), "validation": 0})
    assert found.epochs * counter.get_total_flops() == 2 * found.total


def test_what_is_not_counted_is_said():
    """Eligibility traces, and a record without counts."""
    with pytest.raises(InputError, match="rule=eprop: the operations of its training"):
        training_cost(costed("rule=eprop", "loss=per_step"), SIZES)
    with pytest.raises(InputError, match="without operation counts"):
        training_cost(record().model_copy(update={"counts": None}), SIZES)


def test_command(tmp_path, capsys):
    """Of a record on disk: its parts, what was measured, and the sizes of the split that the catalogue states."""
    made = record(of=compose([]).method)
    (tmp_path / "record.json").write_bytes(to_json(made.model_copy(update={"peak_memory_bytes": 3 << 20})))
    assert main(["energy", "train", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "2 epochs of 1078 samples" in told
    assert "took 2 s" in told
    assert "3 MiB" in told
    assert main(["energy", "train", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["forward"] == training_cost(made, {"train": 1078, "validation": 359}).forward
    assert found["validation"] == found["forward"] // 1078 * 359
    assert main(["energy", "train", str(tmp_path / "elsewhere")]) == 2
