"""Names beside rows: nothing of them is lost while lines are left, and a long one ends in an ellipsis."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgbench.plots.board import BoardRow
from sgbench.plots.chart import Estimate
from sgbench.plots.style import most_lines, wrapped

WORDS = st.lists(st.text("abc(=.0)_,-", min_size=1, max_size=12), min_size=1, max_size=8).map(" ".join)


@given(WORDS, st.integers(12, 30), st.integers(1, 4))
def test_no_word_is_lost_while_lines_are_left(text: str, width: int, most: int) -> None:
    """Must hold: lines are no longer than asked, the words are those of the text, and what is cut says so."""
    lines = wrapped(text, width, most).split("\n")
    assert len(lines) <= most
    assert all(len(line) <= width for line in lines)
    if lines[-1].endswith("…"):
        assert text.startswith(" ".join(lines)[:-1])
    else:
        assert " ".join(lines) == text


def test_labels_by_hand() -> None:
    """By hand: a name of 300 letters has no place to break; no text has no line, and takes the place of one."""
    assert wrapped("x" * 300, 42) == "x" * 41 + "…"
    assert wrapped("", 42, most=3) == ""
    assert (most_lines([]), most_lines([""]), most_lines(["a", "b\nc\nd"])) == (1, 1, 3)


def test_a_row_of_a_board_names_its_rule() -> None:
    """By hand: 29 letters of the network leave no place for the rule on their line of 42."""
    row = BoardRow(
        "atan(alpha=2)",
        "mlp(recurrence_gradient=cut), eprop(feedback=random), adam(lr=0.0279)",
        *("1-6 a", Estimate(1, 1, 1), (), (), None, ()),
    )
    expected = "atan(alpha=2)\nmlp(recurrence_gradient=cut),\neprop(feedback=random), adam(lr=0.0279)"
    assert row.label == expected
