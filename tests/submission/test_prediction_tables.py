"""Tables of outputs and of labelled steps: read strictly, scored, and compared.

Expected values: NumPy, or by hand.
"""

from __future__ import annotations

import numpy as np
import pytest

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import ProtocolReference, compose_reference
from sgbench.leaderboard.store.predictions import (
    Outputs,
    Predictions,
    ScoreClaim,
    parse_outputs,
    parse_prediction_table,
    parse_predictions,
    require_claim,
    targets_apart,
)
from sgbench.submissions.copies import is_copy
from sgbench.submissions.verify.verdict import agreement, loss_of, score_again
from tests.messages import missing

# --- tables of outputs


def table_of(*lines: str, head: str = "index,step,target_0,output_0") -> bytes:
    return ("\n".join([head, *lines]) + "\n").encode()


GOOD = ("0,0,1,0.5", "0,1,0,1e-3", "1,0,2,-1.5", "1,1,0,0")
BAD = {
    "missing step": ((*GOOD[:3],), "line 4 is out of order"),
    "doubled": ((GOOD[0], GOOD[0], *GOOD[2:]), "line 3 is out of order"),
    "samples swapped": ((*GOOD[2:], *GOOD[:2]), "line 2 is out of order"),
    "not a number": (("0,0,1,nan",), "line 2 is not 4 numbers"),
    "infinite": (("0,0,1,inf",), "line 2 is not 4 numbers"),
    "beyond numbers": (("0,0,1,1e999",), r"a value is beyond 1e\+30"),
    "one too few": (("0,0,1",), "line 2 is not 4 numbers"),
    "formula": (("0,0,1,=1+1",), "line 2 is not 4 numbers"),
    "hexadecimal": (("0,0,1,0x1p3",), "line 2 is not 4 numbers"),
    "nothing": ((), "lines that end in one newline are needed"),
}


@pytest.mark.parametrize("name", BAD)
def test_tables_of_outputs_are_read_strictly(name: str) -> None:
    """Expected: the first line that is wrong, and why."""
    lines, words = BAD[name]
    with pytest.raises(InputError, match=words):
        parse_outputs(table_of(*lines), "it")


@pytest.mark.parametrize(
    "head",
    [
        "index,step",
        "index,step,target_0",
        "index,step,output_0,target_0",
        "index,step,target_0,target_1,output_0,output_0",
        "step,index,target_0,output_0",
    ],
)
def test_heads_of_outputs(head: str) -> None:
    """Expected: columns by their names, in one order."""
    with pytest.raises(InputError) as refused:
        parse_outputs(table_of(*GOOD, head=head), "it")
    assert missing(refused.value, "it", "first line", "columns") == []


def test_two_outputs_by_hand() -> None:
    """Expected: targets before outputs, samples first."""
    head = "index,step,target_0,target_1,output_0,output_1"
    found = parse_outputs(table_of("0,0,1,2,3,4", "0,1,5,6,7,8", head=head), "it")
    assert found.target.tolist() == [[[1, 2], [5, 6]]]
    assert found.output.tolist() == [[[3, 4], [7, 8]]]


# --- scores and likeness

SERIES: ProtocolReference = compose_reference("mackey_glass_v1")
RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.random((40, 100, 1))


def near(noise: float, *, seed: int) -> Outputs:
    """What a run may answer whose error has this size."""
    return Outputs(TRUTH, TRUTH + noise * np.random.default_rng(seed).normal(size=TRUTH.shape))


def test_losses_are_those_of_the_protocol() -> None:
    """Against NumPy: the mean squared error; a spike protocol has a distance of 0 to itself alone."""
    found = near(0.1, seed=1)
    expected = ((found.output - TRUTH) ** 2).mean()
    assert loss_of(found, SERIES) == pytest.approx(expected, rel=1e-12)
    assert score_again(found, Outputs(TRUTH * 0, TRUTH), SERIES) == pytest.approx((found.output**2).mean())
    spikes = (RANDOM.random((3, 50, 2)) < 0.1).astype(float)
    patterns = compose_reference("spike_patterns_v1")
    assert loss_of(Outputs(spikes, spikes), patterns) == 0
    assert loss_of(Outputs(spikes, 1 - spikes), patterns) > 0


def test_a_claim_may_be_off_by_rounding_alone() -> None:
    """Must match: single precision; must differ: a hundredth of a percent, another number of samples, no loss."""
    found = near(0.1, seed=1)
    loss = loss_of(found, SERIES)
    require_claim(found, ScoreClaim(None, float(np.float32(loss)), 40, None), "it", loss=loss)
    for claim, words in (
        (ScoreClaim(None, loss * 1.0001, 40, None), "gives a loss of"),
        (ScoreClaim(None, loss, 41, None), "has 40 samples, but the record claims 41"),
        (ScoreClaim(0.9, None, 40, None), "claims no loss"),
    ):
        with pytest.raises(InputError, match=words):
            require_claim(found, claim, "it", loss=loss)
    classes = parse_predictions(b"index,target,prediction\n0,1,1\n", "it")
    with pytest.raises(InputError, match="claims no accuracy"):
        require_claim(classes, ScoreClaim(None, 0.5, 1, None), "it")


def test_copies_of_outputs_and_honest_runs() -> None:
    """Must be alike: a run and itself with a little noise; must not: good runs, whose outputs all lie near the
    truth, bad ones, whose errors are all the truth itself, and silence and perfection, which say nothing."""
    run = near(0.1, seed=1)
    hidden = Outputs(TRUTH, run.output + 1e-4 * np.random.default_rng(9).normal(size=TRUTH.shape))
    assert is_copy(run, run)
    assert is_copy(run, hidden)
    assert not is_copy(near(1e-3, seed=1), near(1e-3, seed=2))
    silent = [Outputs(TRUTH, 0.5 + 1e-3 * RANDOM.normal(size=TRUTH.shape)) for _ in range(2)]
    assert not is_copy(*silent)
    assert not is_copy(run, Outputs(TRUTH[:20], run.output[:20]))
    assert not is_copy(Outputs(TRUTH, TRUTH), Outputs(TRUTH, TRUTH))
    assert not is_copy(Outputs(TRUTH, TRUTH * 0), Outputs(TRUTH, TRUTH * 0))
    assert not is_copy(run, parse_predictions(b"index,target,prediction\n0,1,1\n", "it"))


def classes(logits: np.ndarray, target: np.ndarray) -> Predictions:
    return Predictions(target, logits.argmax(axis=1), logits)


def test_few_different_answers_are_no_evidence() -> None:
    """Must not be alike: two runs that know nine inputs apart and answer alike, and silent ones; must be: the very
    same table, and a run of many answers with noise on its logits."""
    target = RANDOM.integers(0, 2, 400)
    kind = RANDOM.integers(0, 9, 400)
    few, other = (np.random.default_rng(0).normal(size=(9, 2))[kind] * scale for scale in (1.0, 1.0001))
    assert not is_copy(classes(few, target), classes(other, target))
    assert is_copy(classes(few, target), classes(few.copy(), target))
    silent = np.zeros((400, 2))
    assert not is_copy(classes(silent, target), classes(silent, target))
    many = RANDOM.normal(size=(400, 2))
    noisy = many + 1e-3 * RANDOM.normal(size=many.shape)
    assert is_copy(classes(many, target), classes(noisy, target))
    hidden = few + 1e-4 * RANDOM.normal(size=few.shape)
    assert is_copy(classes(few, target), classes(hidden, target))


def test_agreement_is_of_samples() -> None:
    """By hand: one of forty samples off; must differ: shapes."""
    run = near(0.1, seed=1)
    output = run.output.copy()
    output[3] += 0.1
    assert agreement(Outputs(TRUTH, output), run, "it") == 39 / 40
    with pytest.raises(InputError) as refused:
        agreement(Outputs(TRUTH[:20], output[:20]), run, "it")
    assert missing(refused.value, "it", "answer") == []


def test_targets_in_other_precisions() -> None:
    """Must match: those of the data set in single and in double precision; must differ: one sample moved by a
    thousandth of the spread, and other shapes."""
    truth = Outputs(TRUTH.astype(np.float32).astype(float), TRUTH)
    assert targets_apart(Outputs(TRUTH, TRUTH), truth, "it") == 0
    moved = TRUTH + 1e-3 * TRUTH.std() * (np.arange(40) == 2)[:, None, None]
    assert targets_apart(Outputs(moved, TRUTH), truth, "it") == 100
    with pytest.raises(InputError) as refused:
        targets_apart(Outputs(TRUTH[:20], TRUTH[:20]), truth, "it")
    assert missing(refused.value, "it", "20 samples", "100 steps", "1 outputs", "40 samples") == []


def test_steps_have_their_places() -> None:
    """Must differ: the same labels at other steps, a class beyond the data set's, answers of samples."""
    head = b"index,step,target,prediction\n"
    one, other = (parse_predictions(head + line, "it") for line in (b"0,1,2,2\n", b"0,2,2,2\n"))
    assert targets_apart(one, one, "it") == 0
    with pytest.raises(InputError, match="answers for other steps"):
        targets_apart(one, other, "it")
    reference = compose_reference("qtdb_v1")
    assert parse_prediction_table(head + b"0,1,2,2\n", "it", reference).target.tolist() == [2]
    with pytest.raises(InputError, match=r"class 6 is beyond 0\.\.5"):
        parse_prediction_table(head + b"0,1,2,6\n", "it", reference)
    with pytest.raises(InputError) as refused:
        parse_prediction_table(head + b"0,1,2,2\n", "it", compose_reference("digits_v1"))
    assert missing(refused.value, "it", "sample") == []


STEPS, CLASSES = compose_reference("qtdb_v1"), compose_reference("digits_v1")
LINES = b"index,step,target,prediction\n"


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("data", "reference", "words"),
    [
        (LINES + b"141,1,2,2\n", STEPS, "names a step beyond the test split, 141 samples of 1300 steps"),
        (LINES + b"0,1300,2,2\n", STEPS, "names a step beyond the test split"),
        (LINES + b"0,0,0,0\n" * 400_000, STEPS, "has 400000 lines of answers; state each once, at most 183300"),
        (table_of(*GOOD), SERIES, "has 2 samples of 2 steps and 1 outputs; state all 40 of 100"),
        (b"index,target,prediction\r\n0,1,1\r\n", CLASSES, "its lines end in CR LF; write them with one newline"),
        (b"target,prediction\n1,1\n", CLASSES, "needed: index,target,prediction,logit_0.*found: target,prediction"),
        (b"," * 1_000_000 + b"\n1\n", SERIES, "the first line names other columns"),
    ],
)
def test_tables_that_are_not_the_test_split(data: bytes, reference: ProtocolReference, words: str) -> None:
    """Expected: refused by its extent, before any loss is computed."""
    with pytest.raises(InputError, match=words):
        parse_prediction_table(data, "it", reference)


def test_spikes_are_spikes() -> None:
    """Must match: zeros and ones; must differ: a third of a spike."""
    patterns = compose_reference("spike_patterns_v1")
    steps, samples = patterns.protocol.steps, patterns.test_samples
    head = "index,step,target_0,target_1,target_2,output_0,output_1,output_2"
    for spike, fine in (("1", True), ("0.3", False)):
        rows = [f"{n},{t},0,1,0,1,0,{spike}" for n in range(samples) for t in range(steps)]
        data = table_of(*rows, head=head)
        if fine:
            assert parse_prediction_table(data, "it", patterns).output.sum() == 2 * samples * steps
        else:
            with pytest.raises(InputError, match="neither 0 nor 1"):
                parse_prediction_table(data, "it", patterns)


def test_labels_are_claimed_where_steps_have_them() -> None:
    """Must differ: three answers of 360 with a claim of three labels, and steps without one."""
    few = parse_predictions(b"index,target,prediction\n0,1,1\n1,1,1\n2,1,1\n", "it")
    with pytest.raises(InputError) as refused:
        require_claim(few, ScoreClaim(1.0, None, 360, 3), "it")
    assert missing(refused.value, "it", "3 labels") == []
    stepped = parse_predictions(LINES + b"0,1,2,2\n", "it")
    with pytest.raises(InputError) as refused:
        require_claim(stepped, ScoreClaim(1.0, None, 1, None), "it")
    assert missing(refused.value, "it", "no labels") == []
    require_claim(stepped, ScoreClaim(1.0, None, 141, 1), "it")


def test_one_spike_elsewhere_is_the_same_answer() -> None:
    """By hand: one of 200 steps differs in one sample, ten in another; real outputs are told apart by size."""
    spikes = (np.random.default_rng(0).random((4, 200, 3)) < 0.05).astype(float)
    moved = spikes.copy()
    moved[1, 7, 0] = 1 - moved[1, 7, 0]
    moved[2, :10, 0] = 1 - moved[2, :10, 0]
    assert agreement(Outputs(spikes, moved), Outputs(spikes, spikes), "it") == 3 / 4
