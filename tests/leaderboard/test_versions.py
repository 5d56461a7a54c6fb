"""Stored files of every version load, and the published schemas are those of the code."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sgbench.leaderboard.store.tree import candidates
from sgbench.records.files import parse_model, to_json
from sgbench.records.record import RunRecord
from tools.schema import SCHEMAS, file_name, schema

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests" / "golden" / "versions"
"""One file of each kind and version, as it was written; never edited, so that what is stored stays readable."""
PUBLISHED = ROOT / "docs" / "schema"
BOARDS = ROOT / "leaderboards"


def kind(path: Path) -> str:
    """What a golden file holds, by its name: record_v1.json is a record."""
    return path.stem.partition("_v")[0]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_golden_file_loads_and_keeps_its_bytes(path: Path) -> None:
    """Golden: read, and written again, byte by byte; valid by the published schema too (jsonschema)."""
    data = path.read_bytes()
    found = parse_model(data, SCHEMAS[kind(path)], path.name)
    assert to_json(found) == data
    published(kind(path)).validate(json.loads(data))


def test_every_schema_has_a_golden_file() -> None:
    """A kind or version without one could be changed unseen."""
    assert {kind(path) for path in GOLDEN.glob("*.json")} == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_published_schema_is_the_codes(name: str) -> None:
    """Rewrite with: python -m tools.schema."""
    assert (PUBLISHED / file_name(name)).read_text(encoding="utf-8") == schema(name)


def published(name: str) -> jsonschema.Draft202012Validator:
    """The schema of one kind, checked itself."""
    tree = json.loads((PUBLISHED / file_name(name)).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(tree)
    return jsonschema.Draft202012Validator(tree)


@pytest.mark.slow
def test_committed_records_are_valid_by_the_published_schema() -> None:
    """Reference: the library jsonschema; some records of each board, files and lines of shards."""
    validator = published("record")
    files = candidates(BOARDS, layout="leaderboards")[0][::20]
    assert {file.line is None for file in files} == {True, False}
    for file in files:
        tree = json.loads(file.path.read_bytes() if file.line is None else file.line)
        validator.validate(tree if file.line is None else tree["record"])


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 2),
        (("method_id",), "../x"),
        (("seed",), -1),
        (("test", "accuracy"), 1.5),
        (("test", "loss"), 1e200),
        (("provenance", "data_sha256"), "x"),
        (("method", "choices", "surrogate"), "../x"),
        (("extra",), 1),
    ],
)
def test_both_refuse_the_same(path: tuple[str, ...], value: Any) -> None:
    """Must differ: a wrong value is none for the published schema and none for the code."""
    tree = json.loads(next(BOARDS.glob("*/records/*/*.json")).read_bytes())
    wrong = copy.deepcopy(tree)
    node = wrong
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    validator = published("record")
    assert validator.is_valid(tree)
    assert not validator.is_valid(wrong)
    with pytest.raises(ValueError, match="it: "):
        parse_model(json.dumps(wrong).encode(), RunRecord, "it")
