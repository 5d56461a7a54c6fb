"""What selecting on the test set would have told, beside a run that hears nothing of it.

Expected: the same run without the switch, field by field; scores of epochs from honest runs that end there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.errors import NonFiniteError, StorageError
from sgbench.records.content import EpochOnTest, EpochScores, Scores, SelectedOnTest
from sgbench.records.files import parse_model, read_model, to_json
from sgbench.records.record import RunRecord
from sgbench.replicas.group_worker import GroupWorker
from sgbench.replicas.messages import WorkerMessage
from sgbench.submissions.plausible import consistency_problems
from sgbench.sweeps.saved import optimism_lines
from sgbench.training.build import build
from sgbench.training.epoch_loop import BestEpoch, Training, Watched
from sgbench.training.run_folder import folder_of
from sgbench.training.runner import run_spec
from tests.leaderboard.factory import record
from tests.messages import lines_naming
from tests.run.hooks import stop_after
from tests.run.tiny import comparable

TINY = (
    "experiment=digits",
    "protocol.epochs=2",
    "protocol.steps=4",
    "protocol.hidden=[4]",
    "protocol.batch_size=256",
    "trainer.progress=false",
    "engine=reference",
)
NOISY = (  # every stream that a pass more could shift, and statistics that one could move
    "firing=bernoulli",
    "dropout=shared_mask",
    "normalisation=bntt",
    "encoder=rate",
)
WATCH = "trainer.watch_test_score=true"


def run(root: Path, *words: str) -> RunRecord:
    """A run in a folder of its own."""
    return run_spec(compose([*TINY, f"paths.runs_dir={root}", *words]))


def without(told: RunRecord) -> dict:
    """All that a watch must leave as it was; meters of the host would count its passes too."""
    tree = comparable(told)
    tree["provenance"] |= {"commit": None, "clean": None}  # of the checkout, where somebody may be at work
    return {name: tree.get(name) for name in tree.keys() - {"test_access", "test_selected", "host_energy"}}


@pytest.mark.slow
def test_the_run_hears_nothing_of_it(tmp_path, monkeypatch):
    """Expected: every other field the same, hashes of weights and predictions among them; three touches for one.

    The epoch that validation selected is scored twice, on the way and in the last step: the same to the last bit.
    """
    seen = []
    selected = Watched.selected

    def spied(self: Watched, epoch: int, test: Scores, *, epochs: int):
        seen.append((self.scores.get(epoch), EpochOnTest(epoch=epoch, accuracy=test.accuracy, loss=test.loss)))
        return selected(self, epoch, test, epochs=epochs)

    monkeypatch.setattr(Watched, "selected", spied)
    plain, watched = run(tmp_path / "a", *NOISY), run(tmp_path / "b", *NOISY, WATCH)
    assert without(plain) == without(watched)
    assert (plain.test_access, plain.test_selected) == (("final",), None)
    assert b"test_selected" not in to_json(plain)
    assert watched.test_access == ("epoch 0", "epoch 1", "final")
    assert watched.test_selected is not None
    assert seen[1][0] == seen[1][1]
    assert parse_model(to_json(watched), RunRecord, "it") == watched


@pytest.mark.slow
def test_it_is_the_best_of_the_scores_that_shorter_runs_have(tmp_path, monkeypatch, capsys):
    """Validation is made to select epoch 0; the test scores of epochs 0, 1, 2 are those of runs that end there."""
    length = "protocol.epochs={}".format
    ends = [run(tmp_path / str(epochs), length(epochs)) for epochs in (1, 2, 3)]
    assert [each.best_epoch for each in ends] == [0, 1, 2]  # so each one's test is of its last epoch
    scores = [each.test.accuracy for each in ends]
    update = BestEpoch.update
    monkeypatch.setattr(BestEpoch, "update", lambda self, epoch, *rest: epoch == 0 and update(self, epoch, *rest))
    words = [*TINY, length(3), f"paths.runs_dir={tmp_path}"]
    assert main(["run", *words, WATCH]) == 0
    told = read_model(folder_of(compose(words)) / "record.json", RunRecord)
    assert told.test.accuracy == scores[0] < max(scores)
    losses = [each.test.loss for each in ends]
    lines = [EpochOnTest(epoch=each, accuracy=scores[each], loss=losses[each]) for each in range(3)]
    best, lowest = scores.index(max(scores)), lines[losses.index(min(losses))]
    assert told.test_selected == SelectedOnTest(by_loss=lowest, by_accuracy=lines[best])
    gain = 100 * (scores[best] - scores[0])
    words = f"by accuracy {100 * scores[best]:.1f} %", f"{gain:.1f} points above the honest score"
    line = f"selected on the test set: {words[0]} at epoch {best}, {words[1]}; by loss "
    assert line in capsys.readouterr().out
    assert list(optimism_lines(ends)) == []
    mean = f"selected on the test set, mean of 2 runs on digits_v1: {words[0]}, {words[1]}; by loss "
    assert next(optimism_lines([told, told, *ends])).startswith(mean)


@pytest.mark.slow
def test_an_interrupted_run_tells_it_whole_or_not_at_all(tmp_path, monkeypatch, caplog):
    """Expected: as undisturbed where both parts were watched; nothing, and a warning, where the first was not."""

    def stopped(root: Path, *words: str) -> None:
        with monkeypatch.context() as patch:
            stop_after(1, patch)
            with pytest.raises(KeyboardInterrupt):
                run(root, *words)

    undisturbed = run(tmp_path / "a", WATCH)
    stopped(tmp_path / "b", WATCH)
    continued = run(tmp_path / "b", WATCH)
    assert continued.timing.resumed == 1
    assert continued.test_selected == undisturbed.test_selected
    assert not caplog.records
    stopped(tmp_path / "c")
    late = run(tmp_path / "c", WATCH)
    assert (late.test_selected, late.test_access) == (None, ("epoch 1", "final"))
    assert lines_naming(caplog.text, "every epoch")
    assert without(late) == without(continued)


@pytest.mark.slow
def test_replicas_tell_the_same(tmp_path):
    """Expected: the run alone, beside a replica that is not watched."""
    words = [*TINY, "protocol.precision=float64", f"paths.runs_dir={tmp_path}"]
    specs = [compose([*words, WATCH]), compose([*words, "seed=1"])]
    told: list[WorkerMessage] = []
    GroupWorker(list(enumerate(specs)), told.append, lambda: False).run()
    made = {each.point: each.record for each in told if each.kind == "ended"}
    alone = run(tmp_path / "alone", "protocol.precision=float64", WATCH)
    assert made[0].test_selected == alone.test_selected
    assert made[0].test_access == alone.test_access == ("epoch 0", "epoch 1", "final")
    assert (made[1].test_selected, made[1].test_access) == (None, ("final",))


def test_what_overflows_on_the_test_alone_ends_nothing(tmp_path):
    """Expected: an epoch without a score, and the run goes on; must differ: a disk that cannot note the touch."""
    spec = compose([*TINY])
    training = Training(build(spec), spec.method, 0, made_by={})

    def failing(error: Exception):
        raise error
        yield

    training.watch(failing(NonFiniteError("layer hidden0")))
    assert training.watched.scores == {0: None}
    with pytest.raises(StorageError):
        training.watch(failing(StorageError("no space left")))


def scored(accuracy: float | None, loss: float) -> Scores:
    return Scores(samples=10, accuracy=accuracy, loss=loss, activity=())


def test_the_best_by_hand():
    """By loss and by accuracy; the first of equals; the honest epoch as it is scored at the end."""
    seen = Watched()
    for epoch, scores in enumerate([scored(0.5, 1.0), None, scored(0.8, 3.0), scored(0.8, 2.0)]):
        seen.add(epoch, scores)
    found = seen.selected(0, scored(0.5, 1.0), epochs=4)
    assert (found.by_loss.epoch, found.by_accuracy.epoch) == (0, 2)
    found = seen.selected(3, scored(0.9, 0.5), epochs=4)
    assert found.by_accuracy == found.by_loss == EpochOnTest(epoch=3, accuracy=0.9, loss=0.5)
    assert seen.selected(0, scored(0.5, 1.0), epochs=5) is None
    plain = Watched()
    for epoch, loss in enumerate([1.0, 0.25, 0.5]):
        plain.add(epoch, scored(None, loss))
    found = plain.selected(2, scored(None, 0.5), epochs=3)
    assert found == SelectedOnTest(by_loss=EpochOnTest(epoch=1, accuracy=None, loss=0.25), by_accuracy=None)


HONEST = {"epoch": 1, "accuracy": 0.9, "loss": 0.1}
FLATTERED = {"epoch": 0, "accuracy": 0.95, "loss": 0.2}


def stating(by_accuracy: dict | None, by_loss: dict = HONEST, *, access: str = "012") -> RunRecord:
    """A record of three epochs, of which validation selects 1 with 90 of 100 at a loss of 0.1."""
    honest = record(accuracy=0.9)
    last = EpochScores(epoch=2, train_loss=1.0, validation_loss=1.0, validation_accuracy=0.5)
    found = SelectedOnTest.model_validate({"by_loss": by_loss, "by_accuracy": by_accuracy})
    stages = (*(f"epoch {each}" for each in access), "final")
    grown = {"curve": (*honest.curve, last), "test_access": stages, "test_selected": found}
    return honest.model_copy(update=grown)


def test_a_record_may_state_what_can_be():
    """Expected: it loads, and a submission with it is refused in one line; must differ: a failed run has none."""
    for grown in (stating(FLATTERED), stating(HONEST), stating(FLATTERED, {"epoch": 2, "accuracy": 0.5, "loss": 0.05})):
        assert parse_model(to_json(grown), RunRecord, "it") == grown
        found = [each for each in consistency_problems(grown) if "test" in each]
        assert len(found) == 1
        assert lines_naming(found[0], "trainer.watch_test_score=false")
    failed = record(accuracy=None).model_copy(update={"test_selected": stating(HONEST).test_selected})
    with pytest.raises(ValueError, match="no test_selected"):
        RunRecord.model_validate(failed.model_dump())


@pytest.mark.parametrize(
    ("grown", "said"),
    [
        (stating(HONEST | {"accuracy": 0.95}), "epoch 1 is best_epoch, but its scores are not those of test"),
        (stating(FLATTERED | {"accuracy": 0.8}), "by_accuracy: epoch 0 is not the best"),
        (stating(FLATTERED | {"epoch": 2, "accuracy": 0.9}), "by_accuracy: epoch 2 is not the best"),
        (stating(HONEST, FLATTERED), "by_loss: epoch 0 is not the best"),
        (stating(HONEST, {"epoch": 2, "accuracy": 0.95, "loss": 0.05}), "by_accuracy: epoch 1 is not the best"),
        (stating(FLATTERED | {"epoch": 3}), "epoch 3 is not an epoch of the curve"),
        (stating(FLATTERED | {"accuracy": 0.955}), "is no whole number of 100 samples"),
        (stating(None), "by_accuracy is stated exactly when there are classes"),
        (stating(FLATTERED, access="02"), "test_access does not name epoch 1"),
    ],
)
def test_a_record_cannot_state_what_cannot_be(grown, said):
    with pytest.raises(ValueError, match=said):
        RunRecord.model_validate(grown.model_dump())
