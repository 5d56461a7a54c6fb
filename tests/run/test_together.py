"""Two processes that share every batch: what one comes to, up to rounding; and who refuses."""

from __future__ import annotations

import math
from multiprocessing.connection import Pipe
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import sgbench
from fastspiking.signals.spikes import SparseSpikes, dense
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.errors import InputError, NonFiniteError
from sgbench.paths import WEIGHTS
from sgbench.replicas.grouping import why_alone
from sgbench.rules.base import Progress
from sgbench.training.build import build
from sgbench.training.data_parallel import Together
from sgbench.training.helper_processes import await_ready
from sgbench.training.run_folder import folder_of
from tests.messages import lines_naming, raises_naming
from tests.run.test_train_step import PLAIN
from tests.run.tiny import WORDS
from tests.run.two_layers import make_batch, make_network

CLOSE = 1e-9
"""Relative, in float64: sums over a batch are made in another order, and rounding grows over the steps."""


class Heard:
    """A group in which the other process has sent this already."""

    def __init__(self, other: Tensor) -> None:
        self.other = other

    def allreduce(self, tensors: list[Tensor]) -> Heard:
        tensors[0] += self.other
        return self

    def wait(self) -> None:
        """Nothing to wait for."""


def run_in(folder: Path, *words: str) -> tuple[sgbench.records.record.RunRecord, dict[str, Tensor]]:
    words = (*WORDS, "protocol.precision=float64", f"paths.runs_dir={folder}", *words)
    record = sgbench.run(*words)
    return record, load_file(folder_of(compose(words)) / WEIGHTS) if record.status == "finished" else {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("network.recurrence=all_to_all", "schedule=plateau", "schedule.wait_epochs=0", "clip_norm=1.0"),
        ("encoder=poisson", "protocol.accumulated_batches=2", "protocol.batch_size=100"),
    ],
    ids=["recurrent", "drawn"],
)
def test_two_processes_come_to_what_one_does(words, tmp_path):
    """Must match: curve, test scores and weights of one process, by gloo, with a last batch of odd size."""
    one, weights = run_in(tmp_path / "one", *words)
    two, shared = run_in(tmp_path / "two", "trainer.devices=2", *words)
    assert one.status == two.status == "finished", two.failure
    for line, other in zip(one.curve, two.curve, strict=True):
        assert other.train_loss == pytest.approx(line.train_loss, rel=CLOSE)
        assert other.validation_loss == pytest.approx(line.validation_loss, rel=CLOSE)
    assert two.scored.test.accuracy == one.scored.test.accuracy
    assert two.scored.test.loss == pytest.approx(one.scored.test.loss, rel=CLOSE)
    assert two.method_id == one.method_id
    for name, weight in weights.items():
        torch.testing.assert_close(shared[name], weight, rtol=CLOSE, atol=CLOSE)


@pytest.mark.slow
def test_a_failure_ends_all_processes(tmp_path):
    """Expected: the record of a failed run with the layer whose sum of so large weights overflows; none waits."""
    record, _ = run_in(tmp_path, "trainer.devices=2", "init.gain=1e38", "protocol.precision=float32")
    assert record.status == "failed"
    assert record.failure is not None
    assert record.failure.kind == "NonFiniteError"
    assert lines_naming(record.failure.message, "'readout'", "membrane potential")


def of_share(rank: int, batch: Batch) -> tuple[list[Tensor], Tensor, int]:
    """The gradient of one share by autograd, its loss and its samples."""
    mine, network = Together(rank, 2, None).share(batch), make_network()
    loss = PLAIN.whole(network.unroll(mine.x, mine.lengths), mine.target)
    return list(torch.autograd.grad(loss, list(network.parameters()))), loss.detach(), len(mine.target)


def test_shares_add_up_to_the_batch():
    """Must match to 1e-12: the gradient of five samples, from those of three and two; by samples, not by halves."""
    batch, network = make_batch(), make_network()
    whole = PLAIN.whole(network.unroll(batch.x, batch.lengths), batch.target)
    expected = torch.autograd.grad(whole, list(network.parameters()))
    (mine, loss, samples), (others, other_loss, rest) = (of_share(rank, batch) for rank in (0, 1))
    assert (samples, rest) == (3, 2)
    heard = torch.cat([row.flatten() * rest for row in [*others, other_loss]])
    heard = torch.cat([heard, torch.tensor([rest, 0.0])])
    for weight, gradient in zip(network.parameters(), mine, strict=True):
        weight.grad = gradient
    trajectory = network.unroll(batch.x, batch.lengths)
    found = Together(0, 2, Heard(heard)).averaged(network, Progress(loss, trajectory), samples)
    assert found.loss.item() == pytest.approx(whole.item(), rel=1e-12)
    for weight, gradient in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-12, atol=1e-14)


def test_a_weight_without_a_gradient_keeps_none():
    """Expected: None, as in one process; zeros would let an optimiser that decays weights move it."""
    batch, network = make_batch(), make_network()
    weights = list(network.parameters())
    for weight in weights[1:]:
        weight.grad = torch.ones_like(weight)
    heard = torch.zeros(sum(weight.numel() for weight in weights) + 3, dtype=torch.float64)
    trajectory = network.unroll(batch.x, batch.lengths)
    loss = torch.zeros((), dtype=torch.float64)
    Together(0, 2, Heard(heard)).averaged(network, Progress(loss, trajectory), 3)
    assert weights[0].grad is None
    assert all(weight.grad.eq(1).all() for weight in weights[1:])


def test_a_process_that_ends_early_is_not_waited_for():
    """Expected: one line with the remedies where the other end closes; nothing where it was ready before."""
    there, (reader, writer) = Pipe(duplex=False), Pipe(duplex=False)
    there[1].send_bytes(b"ready")
    writer.close()
    with raises_naming(InputError, "process 2", "`if __name__ == '__main__':`", "devices=1") as caught:
        await_ready([there[0], reader])
    assert "\n" not in str(caught.value)


def test_what_another_process_saw_stops_this_one():
    """Expected: an error though every number here is finite, and its own error by name where it has one."""
    batch, network = make_batch(), make_network()
    numbers = sum(weight.numel() for weight in network.parameters())
    heard = Heard(torch.tensor([0.0] * (numbers + 1) + [2.0, 1.0], dtype=torch.float64))
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    progress = Progress(torch.zeros((), dtype=torch.float64), network.unroll(batch.x, batch.lengths))
    with pytest.raises(NonFiniteError, match="another share"):
        Together(0, 2, heard).averaged(network, progress, 3)
    with torch.no_grad():
        network.layers[0].weight[0] = math.nan
    with pytest.raises(NonFiniteError, match="hidden0"):
        Together(0, 2, heard).averaged(network, progress, 3)


@pytest.mark.parametrize("packed", [False, True])
def test_every_sample_is_in_one_share(packed):
    """Expected by hand: of five samples 0, 2, 4 and 1, 3; of one, both processes take it."""
    batch = make_batch()
    x = SparseSpikes.of(batch.x) if packed else batch.x
    batch = Batch(x, batch.target, batch.lengths, torch.arange(5))
    shares = [Together(rank, 2, None).share(batch) for rank in (0, 1)]
    assert [share.position.tolist() for share in shares] == [[0, 2, 4], [1, 3]]
    for share in shares:
        assert torch.equal(dense(share.x), dense(batch.x)[:, share.position])
        assert isinstance(share.x, SparseSpikes) == packed
    alone = Batch(batch.x, *(part[:1] for part in batch[1:]))
    assert Together(1, 2, None).share(alone) is alone


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "words",
    [
        ("rule=local",),
        ("optimizer=sam",),
        ("normalisation=batch_norm",),
        ("dropout=shared_mask",),
        ("regulariser=total_activity",),
        ("firing=escape",),
        ("rule.update=per_window", "rule.window=2", "loss=per_step"),
    ],
    ids=lambda words: words[0],
)
def test_what_is_not_a_sum_over_samples_is_refused(words):
    """Expected: one line with the remedy."""
    with raises_naming(InputError, "trainer.devices=2", "trainer.devices=1") as caught:
        build(compose([*WORDS, *words, "trainer.devices=2"]))
    assert "\n" not in str(caught.value)


def test_a_sweep_trains_it_alone():
    """Expected: the reason with the word; no such reason for one process."""
    assert "trainer.devices=2" in str(why_alone(compose([*WORDS, "trainer.devices=2"])))
    assert why_alone(compose(list(WORDS))) is None
