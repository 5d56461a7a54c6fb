"""What is said before anything runs of what no board will rank, and the words that one does.

Expected lines follow from the protocols' files: digits_v1 ranks seeds 0 to 4 and has 30 epochs; yin_yang_v2 and
delayed_xor_v2 rank 200 to 239, choose settings with 100 to 102, and take 10, 20 or 40 seeds as a row.
"""

from __future__ import annotations

import pytest

from sgbench.composition.plan import plan
from sgbench.sweeps.notes import notes_on_rank
from tests.messages import lines_naming

ROW = "(a row has the first 10, the first 20 or all 40)"


def told(*words: str) -> list[str]:
    """The notes on a run, or on a sweep where a word has several values."""
    several = any("," in word.replace("range(", "") for word in words)
    return list(notes_on_rank(plan(words, multirun=several)))


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["experiment=digits"], []),
        (["experiment=yin_yang_v2", "seed=239"], []),
        (
            ["trainer=lightning", "trainer.max_steps=9"],
            ["note: trainer.max_steps: no part of a method, so no board ranks such runs"],
        ),
        (
            ["experiment=yin_yang_v2"],
            [f"note: yin_yang_v2 ranks seeds 200 to 239; this run has seed 0: no rank; write seed=200 {ROW}"],
        ),
        (
            ["experiment=yin_yang_v2", "surrogate=atan,triangle", "seed=0,1,2"],
            [
                "note: yin_yang_v2 ranks seeds 200 to 239; its 6 runs have seeds 0 to 2: no rank; write "
                f"seed=200,201,202 {ROW}"
            ],
        ),
        (
            ["experiment=yin_yang_v2", "surrogate=atan,triangle", "seed=range(195,205)"],
            [
                "note: yin_yang_v2 ranks seeds 200 to 239; 10 of its 20 runs have seeds 195 to 199: no rank; write "
                f"seed=200,201,202,203,204 {ROW}"
            ],
        ),
        (
            ["experiment=yin_yang_v2", "seed=100,101"],
            [
                "note: yin_yang_v2 ranks seeds 200 to 239; its 2 runs have seeds 100, 101: neither test score nor "
                f"rank, since settings are chosen with such seeds; write seed=200,201 {ROW}"
            ],
        ),
        (
            ["protocol.epochs=1"],
            [
                "note: protocol.epochs is 1, the protocol says 30: not ranked on digits_v1, which is fine for "
                "trying things out; ranked with protocol.epochs=30"
            ],
        ),
        (
            ["seed=5", "surrogate=atan,triangle"],
            ["note: digits_v1 ranks seeds 0 to 4; its 2 runs have seed 5: no rank; write seed=0 (a row has all 5)"],
        ),
        (
            ["dataset=yin_yang"],
            [
                "note: dataset=yin_yang runs, and is recorded, under digits_v1, the protocol of another data set, "
                "and is not ranked there; name one of its own: experiment=yin_yang_v2"
            ],
        ),
    ],
)
def test_one_line_for_each_cause_with_the_words_to_use(words: list[str], lines: list[str]) -> None:
    """Must match: these lines and no others."""
    assert told(*words) == lines


@pytest.mark.slow
def test_each_protocol_of_a_sweep_has_its_own_note() -> None:
    """Of three experiments two rank none of the seeds; no data set is called another protocol's.

    Their words name a sweep of its own, since no seed is ranked by all three; where all rank the same, they do not.
    """
    first, second = told("experiment=digits,yin_yang_v2,delayed_xor_v2", "seed=0,1", "surrogate=atan,triangle")
    assert lines_naming(first, "yin_yang_v2", "200 to 239", "4 runs", "0, 1", "no rank")
    assert lines_naming(first, "experiment=yin_yang_v2 seed=200,201")
    assert lines_naming(second, "experiment=delayed_xor_v2 seed=200,201")
    assert all("sweep of its own" not in line for line in told("experiment=yin_yang_v2,delayed_xor_v2"))
    short = told("experiment=digits,yin_yang_v2", "seed=0", "protocol.epochs=1")
    assert [line for line in short if "protocol.epochs is 1" in line and "not ranked on digits_v1" in line]
    assert [line for line in short if "protocol.epochs is 1" in line and "not ranked on yin_yang_v2" in line]
    assert not [line for line in short if "another data set" in line]
