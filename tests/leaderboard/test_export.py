"""All records as one table: one content in three formats, one type a column, and nothing that a program runs."""

from __future__ import annotations

import csv
import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
import pytest

from registry.__main__ import main as keep
from sgbench.cli.main import main
from sgbench.leaderboard.deviation import compose_reference
from sgbench.leaderboard.pages.export import FORMATS, TYPES, Table, encode, to_table
from sgbench.leaderboard.store.method_provenance import place
from sgbench.records.content import Failure
from sgbench.records.record import RunRecord
from sgbench.records.spec import GROUPS, Method
from sgbench.records.submission import TIERS, Notice, Tier, Verification
from tests.leaderboard.factory import counts, layer, method, record, synapses, write_board_record, write_run
from tests.messages import lines_naming

DOCS = Path(__file__).resolve().parents[2] / "docs" / "protocols.md"
BESIDE = ("division", "checked", "notice", "superseded_by")


@lru_cache(maxsize=1)
def plain() -> Method:
    """The shipped protocol's reference."""
    return compose_reference("digits_v1").method


def digits(width: float, *, seed: int = 0, clip_norm: float | None = None) -> RunRecord:
    """A record of the shipped protocol's reference with another width, and clipped."""
    parameters = plain().parameters | {"surrogate": plain().parameters["surrogate"] | {"width_fwhm": width}}
    of = plain().model_copy(update={"parameters": parameters, "clip_norm": clip_norm})
    return record(seed=seed, accuracy=0.9 - 0.1 * seed, of=of)


def with_values(*values: Any, group: str = "rule", key: str = "x") -> Table:
    """The table of one toy method each value."""
    methods = [method(parameters={group: {key: value}}) for value in values]
    rows = [record(of=of, seed=seed) for seed, of in enumerate(methods)]
    return to_table([row] for row in rows)


def column(*values: Any) -> list[Any]:
    """What the values of one parameter become, in their order."""
    table = with_values(*values)
    return [cell for _, cell in sorted(zip(table["seed"], table["rule.x"], strict=True))]


def arrow(table: Table) -> pa.Table:
    """As read back from a file of Parquet."""
    return pyarrow.parquet.read_table(io.BytesIO(encode(table, "parquet")))


def as_csv(cell: Any) -> str:
    """A value of JSON as the cell that has to stand for it."""
    return "" if cell is None else cell if isinstance(cell, str) else json.dumps(cell)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A board of four methods: two closed ones, one of two seeds; an open one, clipped; and another."""
    root = tmp_path / "boards"
    found = [digits(1.0), digits(1.0, seed=1), digits(2.0), digits(1.0, clip_norm=2.0), digits(4.0)]
    for each in found:
        write_board_record(root, each)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["runs", "leaderboards"])
def test_one_content(layout: str, board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Must match: what the standard library reads of CSV and JSON, and pyarrow of Parquet."""
    root = board
    if layout == "runs":
        root = tmp_path / "runs"
        for each in (digits(1.0), digits(2.0), digits(2.0, seed=1)):
            write_run(root, each)
    words = ["board", "export", "--from", layout, "--root", str(root)]
    text = {}
    for kind in ("csv", "json"):
        assert main([*words, "--format", kind]) == 0
        text[kind] = capsys.readouterr().out
    rows = json.loads(text["json"])
    assert [{name: as_csv(cell) for name, cell in row.items()} for row in rows] == list(
        csv.DictReader(io.StringIO(text["csv"]))
    )
    path = tmp_path / "records.parquet"
    assert main([*words, "--format", "parquet", "--out", str(path)]) == 0
    read = pyarrow.parquet.read_table(path)
    assert read.to_pylist() == rows
    assert read.column_names == list(rows[0])
    assert main([*words, "--format", "parquet"]) == 2
    fixed = [name for name in rows[0] if "." not in name and name not in GROUPS]
    assert fixed == [name for name in TYPES if layout == "leaderboards" or name not in BESIDE]


def test_values_are_values(board: Path, tmp_path: Path) -> None:
    """Numbers, switches, names and nulls of the shipped reference have their own types; a number filters."""
    path = tmp_path / "records.parquet"
    assert main(["board", "export", "--root", str(board), "--format", "parquet", "--out", str(path)]) == 0
    table = pyarrow.parquet.read_table(path)
    expected = {
        "encoder.dt_s": (pa.float64(), 0.001),
        "encoder.steps": (pa.int64(), 25),
        "network.bias": (pa.bool_(), False),
        "network.recurrence": (pa.string(), "none"),
        "network.hidden": (pa.string(), "[64]"),
        "optimizer.betas": (pa.string(), "[0.9,0.999]"),
        "neuron.threshold": (pa.float64(), 1.0),
        "optimizer.foreach": (pa.null(), None),
        "peak_memory_bytes": (pa.int64(), None),
        "notice": (pa.string(), None),
    }
    for name, (kind, value) in expected.items():
        assert (table.schema.field(name).type, table[name][0].as_py()) == (kind, value), name
    wide = table.filter(pyarrow.compute.field("surrogate.width_fwhm") > 1.5)
    assert sorted(wide["surrogate.width_fwhm"].to_pylist()) == [2.0, 4.0]


def test_one_type_a_column() -> None:
    """By hand; the last: beyond 64 bits a whole number is a float, and a float has the digits of its identity."""
    cases: list[tuple[list[Any], list[Any], pa.DataType]] = [
        ([1, 2, None], [1, 2, None], pa.int64()),
        ([1, 2.5, None], [1.0, 2.5, None], pa.float64()),
        ([True, False, None], [True, False, None], pa.bool_()),
        ([True, 3], ["true", "3"], pa.string()),
        ([0.5, "learned", (0.5, 1), None], ["0.5", "learned", "[0.5,1]", None], pa.string()),
        ([2**63 - 1, -3], [2**63 - 1, -3], pa.int64()),
        ([2**63, 1], [2.0**63, 1.0], pa.float64()),
        ([1.7510000000000001, -0.0], [1.751, 0.0], pa.float64()),
    ]
    for given, expected, kind in cases:
        found = column(*given)
        assert (found, list(map(type, found))) == (expected, list(map(type, expected))), given
        assert arrow(with_values(*given)).schema.field("rule.x").type == kind, given


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "1", "1e3", "1_0", "nan", "Infinity", "TRUE", "null",
     "None", "", "[1]", '"', "2026-01-02", "a;=1+1", "a\n=1", "a|b", "<b>", "\uff1d1", "a\\u0060"],
)  # fmt: skip
def test_text_stays_text(text: str) -> None:
    """Expected: text that would be taken for something else is told from the value, runs nowhere, and is one line
    of ASCII; of a parameter, a device and a failure alike."""
    (cell,) = column(text)
    assert isinstance(cell, str)
    assert cell[0] == '"' == cell[-1]
    assert cell.isascii()
    assert cell.isprintable()
    assert json.loads(cell.replace("\\u007c", "|").replace("\\u003c", "<").replace("\\u003e", ">")) == text
    hostile = record(accuracy=None)
    provenance = hostile.provenance.model_copy(update={"device": text, "engine": text})
    changes = {"provenance": provenance, "failure": Failure(kind=text, message="")}
    table = to_table([[hostile.model_copy(update=changes)]])
    assert table["failure"] == table["device"] == table["engine"] == [cell]


def test_names_have_no_quotes() -> None:
    """Must differ from the above: names, and the numbers, switches and nulls that such text would be taken for."""
    names = ["none", "leaky_readout", "cuda:0", "NVIDIA H100 80GB HBM3", "Intel(R) CPU @ 2.00GHz"]
    assert column(*names) == names
    assert to_table([[record(of=method(choices={"rule": "1e5"}))]])["rule"] == ['"1e5"']
    assert column(-1, "-1", True, "true", None, "null") == ["-1", '"-1"', "true", '"true"', None, '"null"']


def test_settings_outside_the_identity_are_those_of_each_record() -> None:
    """How torch runs an optimiser is no part of a method's id, so two records of one method may differ in it."""
    methods = [method(parameters={"optimizer": {"foreach": value}}) for value in (None, True, 1, None)]
    group = [record(seed=seed, of=of) for seed, of in enumerate(methods)]
    assert len({each.method_id for each in group}) == 1
    assert to_table([group])["optimizer.foreach"] == [None, "true", "1", None]


def test_operations_per_inference() -> None:
    """By hand: two layers, 100 samples; a count that nobody took makes no sum; and sums beyond 64 bits."""
    found = counts(
        layer("a", synapses=(synapses(300), synapses(100)), spikes_sent=30),
        layer("b", synapses=(synapses(50),), spikes_sent=15),
    )
    table = to_table([[record().model_copy(update={"counts": found})]])
    assert (table["spikes"], table["spikes_per_inference"]) == ([45], [0.45])
    assert (table["synaptic_operations"], table["synaptic_operations_per_inference"]) == ([450], [4.5])
    unknown = counts(layer("a", synapses=(synapses(synapses(1).effective.model_validate({"reason": "no"})),)))
    table = to_table([[record().model_copy(update={"counts": unknown})]])
    assert table["synaptic_operations"] == table["synaptic_operations_per_inference"] == [None]
    assert table["spikes"] == [0]
    huge = counts(*(layer(name, synapses=(synapses(2**62),)) for name in "abc"))
    table = to_table([[record().model_copy(update={"counts": huge})]])
    assert arrow(table)["synaptic_operations"].to_pylist() == [3 * 2.0**62]


def verification(found: RunRecord, tier: Tier, *, passed: bool) -> Verification:
    """What somebody found."""
    said: dict[str, Any] = dict.fromkeys(("claimed_accuracy", "verified_accuracy", "agreement"), 0.9)
    said |= {"tier": tier, "passed": passed, "verifier": "somebody", "statement": "Looked at."}
    said |= {"seeds": (0,), "tolerance": 0.0, "commit": None, "versions": {}}
    return Verification.model_validate(of_method(found) | said)


def of_method(found: RunRecord) -> dict[str, Any]:
    """What each file beside the records begins with."""
    names = {"protocol": found.protocol, "method_id": found.method_id}
    return {"schema_version": 1, "created_utc": "2026-01-01T00:00:00Z"} | names


def exported(root: Path, capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, int], dict[str, Any]]:
    """Rows by method and seed."""
    assert main(["board", "export", "--root", str(root), "--format", "json"]) == 0
    return {(row["method_id"], row["seed"]): row for row in json.loads(capsys.readouterr().out)}


def test_standing(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Must match the board's own table, an independent way to the same words: divisions, every tier, and operations
    per inference; a notice is what was written."""
    folder = board / "digits_v1"
    first, second, other, last = digits(1.0), digits(2.0), digits(1.0, clip_norm=2.0), digits(4.0)
    for tier in TIERS[:2]:
        place(folder, verification(first, tier, passed=True))
    place(folder, verification(second, "rescored", passed=False))
    said = {"kind": "superseded", "superseded_by": second.method_id, "reason": "a better one"}
    place(folder, Notice.model_validate(of_method(last) | said))
    rows = exported(board, capsys)
    listing = {
        first.method_id: ["closed", "reinferred", None, None],
        second.method_id: ["closed", "failed: rescored", None, None],
        other.method_id: ["open", "self-reported", None, None],
        last.method_id: ["closed", "self-reported", "superseded", second.method_id],
    }
    assert len(rows) == 5
    for (name, _), row in rows.items():
        assert [row[key] for key in BESIDE] == listing[name]
    assert main(["board", "build", "--from", "leaderboards", "--root", str(board)]) == 0
    shown = list(csv.DictReader(io.StringIO((folder / "table.csv").read_text())))
    assert {line["method_id"] for line in shown} == set(listing) - {last.method_id}
    for line in shown:
        row = rows[line["method_id"], 0]
        assert [row["division"], row["checked"]] == [line["division"], line["checked"]]
        for name in ("spikes_per_inference", "synaptic_operations_per_inference"):
            assert row[name] == pytest.approx(float(line[name]), rel=1e-11)


def test_withdrawn(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the command writes it; a notice that says nothing is named, and the rows are still there."""
    name = digits(2.0).method_id
    words = ["withdraw", name, "--protocol", "digits_v1", "--root", str(board), "--reason", "wrong order"]
    assert keep(words) == 0
    capsys.readouterr()
    rows = exported(board, capsys)
    assert {key: row["notice"] for key, row in rows.items() if row["notice"]} == {(name, 0): "withdrawn"}
    (board / "digits_v1" / "notices" / f"{name}.json").write_text("{}")
    assert main(["board", "export", "--root", str(board)]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 6
    assert lines_naming(said.err, "left out", f"{board}/digits_v1/notices/{name}.json")


def test_check_of_another_score(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A check of losses says nothing where accuracy is compared, and is named."""
    check = verification(digits(1.0), "retrained", passed=True)
    scores = {"claimed_accuracy": None, "verified_accuracy": None, "claimed_loss": 1.0, "verified_loss": 1.0}
    place(board / "digits_v1", check.model_copy(update=scores))
    assert main(["board", "export", "--root", str(board), "--format", "json"]) == 1
    said = capsys.readouterr()
    assert {row["checked"] for row in json.loads(said.out)} == {"self-reported"}
    assert lines_naming(said.err, "retrained.json", "accuracy")


def test_every_column_is_documented() -> None:
    """The page names each, and the tests above that there are no others."""
    section = DOCS.read_text().partition("## Export")[2]
    assert [name for name in TYPES if f"`{name}`" not in section] == []


def test_no_records() -> None:
    """An empty table is a file still."""
    assert [encode(to_table([]), kind) for kind in FORMATS[:2]] == [b"\n", b"[]\n"]
    assert arrow(to_table([])).num_rows == 0
