"""Reading strangers' records and adding to a board; expected outcomes follow from the rules, by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sgbench.errors import InputError, StorageError
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import compose_reference, deviation
from sgbench.leaderboard.pages.table import to_markdown
from sgbench.leaderboard.store import tree as store
from sgbench.leaderboard.store.reading import Finding
from sgbench.leaderboard.store.sources import require_same_source
from sgbench.leaderboard.store.tree import RecordTree, add, read_methods
from sgbench.records.files import to_json
from sgbench.records.record import RunRecord
from tests.leaderboard.factory import ToyReferences, method, protocol, record, write_board_record, write_run
from tests.messages import lines_naming, raises_naming

REFERENCES = ToyReferences()


class Tree(NamedTuple):
    """All comparable records of a folder, by method and seed, and what was left out, by path."""

    records: tuple[RunRecord, ...]
    findings: tuple[Finding, ...] = ()


def read(root: Path, layout: store.Layout = "runs", only: str | None = None) -> Tree:
    """The tree as a board sees it."""
    rows = list(read_methods(RecordTree(root, layout, REFERENCES, only=only)))
    findings = [row for row in rows if isinstance(row, Finding)]
    records = [record for row in rows if not isinstance(row, Finding) for record in row.records]
    records.sort(key=lambda record: (record.method_id, record.seed))
    return Tree(tuple(records), tuple(sorted(findings, key=lambda each: each.path)))


def test_reads_both_layouts(tmp_path: Path) -> None:
    """The same records come from a runs folder and from a leaderboards folder, sorted."""
    records = [record(seed=1), record(seed=0), record(of=method(surrogate="triangle"))]
    for found in records:
        write_run(tmp_path / "runs", found)
        write_board_record(tmp_path / "boards", found)
    expected = tuple(sorted(records, key=lambda found: (found.method_id, found.seed)))
    assert read(tmp_path / "runs") == Tree(expected, ())
    assert read(tmp_path / "boards", "leaderboards") == Tree(expected, ())


def of_source(source: str | None, seed: int) -> RunRecord:
    """A record whose surrogate is somebody's own class, or the catalogue's."""
    sources = None if source is None else {"surrogate": source * 64}
    found = record(seed=seed)
    return found.model_copy(update={"provenance": found.provenance.model_copy(update={"own_sources": sources})})


def test_two_peoples_classes_of_one_name_have_a_row_each(tmp_path: Path) -> None:
    """Hand count: two seeds of one source, two of another, one of which both have; all of them stay.

    Must match: records that state no source go with the first row, and what is added twice is there already.
    """
    mine, theirs = [of_source("a", seed) for seed in (0, 1)], [of_source("b", seed) for seed in (0, 2)]
    for name, records in (("mine", mine), ("theirs", theirs), ("silent", [of_source(None, 2)])):
        for found in records:
            write_run(tmp_path / name, found)
    boards = tmp_path / "boards"
    sources = [tmp_path / name for name in ("mine", "theirs", "silent")]
    done = add(sources, boards, references=REFERENCES)
    assert (len(done.added), done.refused) == (5, ())
    assert len(add(sources, boards, references=REFERENCES).already_there) == 5
    name = mine[0].method_id
    folders = sorted(path.name for path in (boards / "toy_v1" / "records").iterdir())
    assert folders == [name, f"{name}-bbbbbbbb"]
    (board,) = show(RecordTree(boards, "leaderboards", REFERENCES)).boards
    rows = {row.method_id: (sorted(row.scores), row.varying["source"]) for row in board.rows}
    assert rows == {name: ([0, 1, 2], "source aaaaaaaa"), f"{name}-bbbbbbbb": ([0, 2], "source bbbbbbbb")}
    assert "source" in to_markdown(board, layout="leaderboards")
    where = boards / "toy_v1" / "records"
    (where / f"{name}-bbbbbbbb").rename(where / f"{name}-cccccccc")
    assert ["misplaced" in each.reason for each in read(boards, "leaderboards").findings] == [True, True]


def test_a_class_that_changed_between_seeds_has_two_rows_and_no_submission(tmp_path: Path) -> None:
    """Of a runs folder: seed 2 is of another source. Must differ: one source, and none stated, have one row."""
    for found in (of_source("a", 0), of_source(None, 1), of_source("b", 2)):
        write_run(tmp_path, found)
    (board,) = show(RecordTree(tmp_path, "runs", REFERENCES)).boards
    assert sorted((sorted(row.scores), row.varying["source"]) for row in board.rows) == [
        ([0, 1], "source aaaaaaaa"),
        ([2], "source bbbbbbbb"),
    ]
    assert to_markdown(board, layout="runs").count(f"({record().method_id}/)") == 2
    with raises_naming(InputError, "seed 0", "source"):
        require_same_source(of_source("b", 2), of_source("a", 0))
    (tmp_path / "toy_v1" / record().method_id / "2" / "record.json").unlink()
    (board,) = show(RecordTree(tmp_path, "runs", REFERENCES)).boards
    assert board.rows[0].varying == {}
    assert board.rows[0].method_id == record().method_id


def edited(change: Callable[[dict[str, Any]], None]) -> bytes:
    """A record with one change, as a stranger might make it."""
    tree = json.loads(to_json(record()))
    change(tree)
    return json.dumps(tree).encode()


GOOD = to_json(record())
HOSTILE = {
    "truncated": GOOD[: len(GOOD) // 2],
    "empty": b"",
    "binary": bytes(range(256)),
    "nan": edited(lambda tree: tree["test"].update(accuracy=float("nan"))),
    "infinite": GOOD.replace(b'"fit_s": 2.0', b'"fit_s": 1e999'),
    "overflowing_sum": edited(lambda tree: tree["timing"].update(fit_s=1e308)),
    "duplicate_key": GOOD.replace(b'"seed": 0', b'"seed": 0, "seed": 0'),
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "ten_megabytes": b" " * 10_000_000 + GOOD,
    "list": b"[]",
    "unknown_key": edited(lambda tree: tree.update(extra=1)),
    "huge_count": edited(lambda tree: tree["counts"]["layers"][0]["spikes_sent"].update(total=10**400)),
    "huge_parameter": edited(lambda tree: tree["method"]["parameters"]["surrogate"].update(alpha=10**400)),
    "digits_beyond_limit": GOOD.replace(b'"seed": 0', b'"seed": ' + b"9" * 5000),
    "wrong_method_id": edited(lambda tree: tree.update(method_id="0" * 12)),
    "accuracy_above_one": edited(lambda tree: tree["test"].update(accuracy=1.5)),
    "negative_count": edited(lambda tree: tree["counts"]["layers"][0]["spikes_sent"].update(total=-1)),
    "unknown_protocol": edited(lambda tree: tree.update(protocol="other_v1")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_named_and_the_rest_counts(tmp_path: Path, name: str) -> None:
    """One bad file beside a good one: one finding on one line with its path, one record."""
    good = write_run(tmp_path, record(seed=1))
    bad = good.parent.parent / "0" / "record.json"
    bad.parent.mkdir()
    bad.write_bytes(HOSTILE[name])
    found = read(tmp_path)
    assert [kept.seed for kept in found.records] == [1]
    assert [finding.path for finding in found.findings] == [str(bad)]
    assert "\n" not in found.findings[0].reason
    assert 0 < len(found.findings[0].reason) < 400


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A linked file, a linked seed, a linked protocol: three findings."""
    real = write_run(tmp_path / "elsewhere", record())
    kept = write_run(tmp_path / "runs", record(seed=1))
    method_folder = kept.parent.parent
    (method_folder / "2").mkdir()
    (method_folder / "2" / "record.json").symlink_to(real)
    (method_folder / "0").symlink_to(real.parent)
    (tmp_path / "runs" / "linked_v1").symlink_to(tmp_path / "elsewhere" / "toy_v1")
    found = read(tmp_path / "runs")
    assert [item.seed for item in found.records] == [1]
    names = {Path(finding.path).relative_to(tmp_path / "runs").parts[-1] for finding in found.findings}
    assert names == {"0", "record.json", "linked_v1"}


@pytest.mark.parametrize(
    ("folder", "seed"), [("toy_v1/000000000000/0", 0), ("toy_v1/{id}/1", 0), ("other_v1/{id}/0", 0), ("toy_v1/{id}", 0)]
)
def test_misplaced_record_is_left_out(tmp_path: Path, folder: str, seed: int) -> None:
    """A path that says another method, seed or protocol than the record: one finding that says where it belongs."""
    found = record(seed=seed)
    path = tmp_path / folder.format(id=found.method_id) / "record.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(to_json(found))
    result = read(tmp_path)
    assert result.records == ()
    assert lines_naming(result.findings[0].reason, f"toy_v1/{found.method_id}/0")


def test_stray_file_among_board_records_is_named(tmp_path: Path) -> None:
    """Everything below records/ has to be a record; a hidden temporary file of an interrupted write is not one."""
    path = write_board_record(tmp_path, record())
    (path.parent / "notes.txt").write_text("hello")
    (path.parent / ".0.json.abc").write_text("half")
    found = read(tmp_path, "leaderboards")
    assert len(found.records) == 1
    assert [Path(finding.path).name for finding in found.findings] == ["notes.txt"]


def test_loggers_files_in_a_run_folder_are_ignored(tmp_path: Path) -> None:
    """What lies beside a record, links included, belongs to loggers."""
    path = write_run(tmp_path, record())
    (path.parent / "wandb").mkdir()
    (path.parent / "wandb" / "latest").symlink_to(tmp_path)
    (path.parent / "wandb" / "record.json").write_text("not ours")
    assert read(tmp_path) == Tree((record(),), ())


def test_missing_folder_and_unknown_protocol_are_input_errors(tmp_path: Path) -> None:
    """The message names the folder, or the nearest protocol."""
    with pytest.raises(InputError, match="no such folder"):
        read(tmp_path / "nowhere")
    write_run(tmp_path, record())
    with raises_naming(InputError, "'toy_v2'", "'toy_v1'"):
        read(tmp_path, only="toy_v2")


def reason(**changes: Any) -> str | None:
    """What the toy protocol says to a changed method."""
    seed = changes.pop("seed", 0)
    return deviation(record(of=method(**changes), seed=seed), REFERENCES.of("toy_v1"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"protocol_changes": {"epochs": 2}}, "protocol.epochs is 2, the protocol says 20"),
        ({"protocol_changes": {"steps": 11}}, "protocol.steps is 11, the protocol says 10"),
        ({"protocol_changes": {"hidden": (8,)}}, "protocol.hidden is [8], the protocol says [4]"),
        ({"choices": {"dataset": "other"}}, 'dataset is "other", the protocol says "digits"'),
        ({"choices": {"optimizer": "sgd"}}, 'optimizer is "sgd", the protocol says "adam"'),
        ({"parameters": {"optimizer": {"lr": 0.1}}}, "optimizer.lr is 0.1, the protocol says 0.002"),
        ({"parameters": {"network": {"bias": True}}}, "network.bias is true, the protocol says false"),
        ({"parameters": {"encoder": {"gain": 2}}}, 'encoder.gain is 2, the protocol says "absent"'),
        ({"seed": 7}, "deviates from toy_v1: its seed is not among the protocol's seeds 0 to 2"),
    ],
)
def test_deviation_is_named(changes: dict[str, Any], words: str) -> None:
    """One sentence that names the record, the protocol, and both values."""
    found = reason(**changes)
    assert found is not None
    assert "deviates from toy_v1: " in found
    assert words in found


@pytest.mark.parametrize(
    "changes",
    [
        {"surrogate": "triangle", "parameters": {"surrogate": {"alpha": 3}}},
        {"choices": {"rule": "eprop"}, "parameters": {"rule": {"update": "per_step"}}},
        {"parameters": {"network": {"recurrence": "all_to_all"}}},
        {"clip_norm": 1.0},
        {"protocol_changes": {"about": "Edited words.", "seeds": (0, 1, 2, 3), "free": ()}},
    ],
)
def test_what_the_protocol_leaves_free_is_no_deviation(changes: dict[str, Any]) -> None:
    """Free groups and parameters, and the protocol's texts, which the catalogue's own replace."""
    assert reason(**changes) is None


def test_clipping_has_to_be_free_too() -> None:
    """Where clip_norm is not free, the reference's value holds."""
    strict = REFERENCES.of("toy_v1")
    free = protocol().model_copy(update={"free": ("surrogate",)})
    strict = replace(strict, protocol=free)
    found = deviation(record(of=method(clip_norm=1.0)), strict)
    assert found is not None
    assert lines_naming(found, "clip_norm", "1", "null")


def test_shipped_protocol_is_its_own_reference() -> None:
    """The composed reference of the shipped protocol deviates from nothing."""
    reference = compose_reference("digits_v1")
    assert deviation(record(of=reference.method), reference) is None


def test_deviating_record_is_left_out_of_a_board(tmp_path: Path) -> None:
    """The reason stands in the finding; the others count."""
    write_run(tmp_path, record())
    write_run(tmp_path, record(of=method(protocol_changes={"epochs": 2})))
    found = read(tmp_path)
    assert len(found.records) == 1
    assert lines_naming(found.findings[0].reason, "protocol.epochs", "2", "20")


def test_add_copies_and_repeats_harmlessly(tmp_path: Path) -> None:
    """First added, then already there; the copy is the record's stored form."""
    found = record()
    write_run(tmp_path / "runs", found)
    board = tmp_path / "boards"
    target = board / "toy_v1" / "records" / found.method_id / "0.json"
    assert add([tmp_path / "runs"], board, references=REFERENCES) == store.RecordsAdded((str(target),), (), ())
    assert target.read_bytes() == to_json(found)
    assert add([tmp_path / "runs"], board, references=REFERENCES) == store.RecordsAdded((), (str(target),), ())


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_add_from_any_folder_of_a_runs_tree(tmp_path: Path, depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole tree, a protocol, a method, a run: named from above, and as the current folder."""
    path = write_run(tmp_path / "runs", record())
    source = [tmp_path / "runs", *reversed(path.parents[:3])][depth]
    assert len(add([source], tmp_path / "a", references=REFERENCES).added) == 1
    monkeypatch.chdir(source)
    assert len(add([Path()], tmp_path / "b", references=REFERENCES).added) == 1


def test_add_never_overwrites(tmp_path: Path) -> None:
    """Another result for the same method and seed is refused by name; the old one keeps its bytes."""
    old = write_board_record(tmp_path / "boards", record(accuracy=0.9))
    write_run(tmp_path / "runs", record(accuracy=0.95))
    before = old.read_bytes()
    found = add([tmp_path / "runs"], tmp_path / "boards", references=REFERENCES)
    assert found.added == ()
    assert "never overwritten" in found.refused[0].reason
    assert str(old) in found.refused[0].reason
    assert old.read_bytes() == before


def test_add_refuses_a_bad_record_and_takes_the_others(tmp_path: Path) -> None:
    """One damaged, one deviating, one good."""
    write_run(tmp_path / "runs", record())
    write_run(tmp_path / "runs", record(seed=1)).write_bytes(b"{")
    write_run(tmp_path / "runs", record(of=method(protocol_changes={"epochs": 2})))
    found = add([tmp_path / "runs"], tmp_path / "boards", references=REFERENCES)
    assert (len(found.added), len(found.refused)) == (1, 2)


def test_add_to_a_linked_target_is_refused(tmp_path: Path) -> None:
    """A link where the record belongs is neither followed nor replaced."""
    outside = tmp_path / "outside.json"
    outside.write_text("precious")
    target = write_board_record(tmp_path / "boards", record())
    target.unlink()
    target.symlink_to(outside)
    write_run(tmp_path / "runs", record())
    found = add([tmp_path / "runs"], tmp_path / "boards", references=REFERENCES)
    assert len(found.refused) == 1
    assert outside.read_text() == "precious"


def test_add_to_an_unwritable_board_is_a_storage_error(tmp_path: Path) -> None:
    """A file where the board's folder should be: one line, exit code 2."""
    (tmp_path / "boards").write_text("a file")
    write_run(tmp_path / "runs", record())
    with pytest.raises(StorageError, match="cannot be written") as caught:
        add([tmp_path / "runs"], tmp_path / "boards", references=REFERENCES)
    assert caught.value.exit_code == 2


def test_add_from_nowhere_is_an_input_error(tmp_path: Path) -> None:
    """The message names the folder."""
    with pytest.raises(InputError, match="nowhere: no such folder"):
        add([tmp_path / "nowhere"], tmp_path / "boards", references=REFERENCES)


def _edit_accuracy(path: Path) -> None:
    tree = json.loads(path.read_text())
    tree["test"]["accuracy"] = 0.99
    path.write_text(json.dumps(tree))


def _edit_predictions(path: Path) -> None:
    file = path.with_name("predictions.csv")
    file.write_text(file.read_text().replace(",0,1", ",0,0"))


SPOILT = {
    "accuracy raised by hand": (_edit_accuracy, "90 of 100 are right, but the record claims an accuracy of 0.99"),
    "predictions edited": (_edit_predictions, "is not the file that the record was made with"),
    "predictions gone": (lambda path: path.with_name("predictions.csv").unlink(), "a regular file is needed"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_add_scores_the_predictions_again(tmp_path, name):
    """Counting hits in the file: a claim that it does not give is refused, and nothing is copied."""
    spoil, said = SPOILT[name]
    spoil(write_run(tmp_path / "runs", record(accuracy=0.9)))
    done = add([tmp_path / "runs"], tmp_path / "board", references=REFERENCES)
    assert not done.added
    assert said in done.refused[0].reason
