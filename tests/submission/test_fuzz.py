"""Fuzzing: whatever stands in a file, a check answers with lines and never with anything else."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sgbench.errors import InputError
from sgbench.leaderboard.store.predictions import parse_outputs, parse_predictions
from sgbench.records.files import parse_model
from sgbench.records.record import RunRecord
from sgbench.records.submission import ExternalRecord, Notice, Submission, TuningLog, Verification
from sgbench.submissions.check import check
from sgbench.submissions.weights import parse_weights
from tests.submission.factory import JUDGE, REFERENCES, dump, reseal, submission, write

HONEST = submission()
EXAMPLES = settings(max_examples=25)
TEXTS = st.text(max_size=30) | st.sampled_from(
    ["../../etc/passwd", "${oc.env:HOME}", "_target_", "<b>", "a|b", "\x1b[2J", "\u202e", "NaN", "os.system", "0" * 64]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([2**63, -1, 10**400, 1e308, float("nan"), float("inf")])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
MODELS = (Submission, RunRecord, ExternalRecord, TuningLog, Verification, Notice)
HARMLESS = ("name", "contact", "paper", "code", "licence", "created_utc", "environment")
"""What may be changed to another allowed value without a lie about the result."""


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a tree."""
    if path:
        yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The tree with another value in one place."""
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = changed(tree[path[0]], path[1:], value)
    return copy


HEAD = json.loads(HONEST["submission.json"])
RECORD = json.loads(HONEST["records/1.json"])


@EXAMPLES
@given(st.sampled_from(sorted(places(HEAD), key=str)), TREES)
def test_any_value_anywhere_in_the_head(path: tuple[Any, ...], value: Any) -> None:
    """One place changed: refused, unless it is the same value or says nothing of the result."""
    tree = changed(HEAD, path, value)
    found = checked(HONEST | {"submission.json": dump(tree)})
    if path[0] not in HARMLESS and repr(tree) != repr(HEAD) and not equal(tree, HEAD):
        assert found


@EXAMPLES
@given(st.sampled_from(sorted(places(RECORD), key=str)), TREES)
def test_any_value_anywhere_in_a_record(path: tuple[Any, ...], value: Any) -> None:
    """One place changed and hashes stated truly: it never raises, and says what is wrong on printable lines."""
    checked(reseal(HONEST | {"records/1.json": dump(changed(RECORD, path, value))}))


def equal(one: Any, other: Any) -> bool:
    """As stored: a whole float is the whole number that it equals."""
    with contextlib.suppress(InputError):
        first, second = (parse_model(dump(tree), Submission, "it") for tree in (one, other))
        return first == second
    return False


def checked(files: dict[str, bytes]) -> list[str]:
    """The lines of a check; anything but lines is an error of the test."""
    with tempfile.TemporaryDirectory() as folder:
        found = check(write(Path(folder), files), references=REFERENCES, judge=JUDGE)
    for problem in found.problems:
        assert problem.message.isprintable()
        assert problem.path.isprintable()
    return [problem.message for problem in found.problems if problem.level == "error"]


@EXAMPLES
@given(st.sampled_from(MODELS), TREES)
def test_any_tree_as_any_schema(model: Any, tree: Any) -> None:
    """Read, or refused in one line that is no exception of its own."""
    with contextlib.suppress(InputError):
        parse_model(dump(tree), model, "it")


@EXAMPLES
@given(st.sampled_from(MODELS), st.binary(max_size=200))
def test_any_bytes_as_any_schema(model: Any, data: bytes) -> None:
    """The same for bytes that are no JSON."""
    with contextlib.suppress(InputError):
        parse_model(data, model, "it")


@EXAMPLES
@given(
    st.integers(0, 4000),
    st.binary(min_size=1, max_size=40),
    st.sampled_from(
        [
            (HONEST["predictions/0.csv"], parse_predictions),
            (HONEST["weights/0.safetensors"], parse_weights),
            (b"index,step,target,prediction\n" + b"0,1,2,3\n0,5,1,1\n" * 100, parse_predictions),
            (b"index,step,target_0,output_0\n" + b"0,0,1,0.5\n" * 300, parse_outputs),
        ]
    ),
)
def test_any_bytes_anywhere_in_a_table_or_in_weights(place: int, data: bytes, file: tuple[bytes, Any]) -> None:
    """Overwritten, cut off or longer: parsed, or refused in one line."""
    whole, parse = file
    for bad in (whole[:place] + data + whole[place + len(data) :], whole[:place], data + whole):
        with contextlib.suppress(InputError):
            parse(bad, "it")
