"""The shards of a study when something else than this process writes to them."""

from __future__ import annotations

import hashlib
import json
import lzma
from pathlib import Path

import pytest
from filelock import FileLock

from sgbench.errors import InputError, RunBusyError
from sgbench.study_runner import store as stores
from sgbench.study_runner.cells import points
from sgbench.study_runner.run import StudyFolders, compose_specs
from sgbench.study_runner.store import LOCK, MANIFEST, Store, StoreEntry
from tests.messages import raises_naming
from tests.study.toy import loaded, record_of


def entries(folder: Path) -> list[StoreEntry]:
    """Two runs of the toy."""
    planned = points(loaded(folder).study, "first", {})[:2]
    specs = compose_specs(planned, StudyFolders(Store(folder / "store", "toy"), folder / "runs", config_dirs=(folder,)))
    return [
        StoreEntry("first", point.task, point.cell, record_of(spec, 0.5))
        for point, spec in zip(planned, specs, strict=True)
    ]


def test_two_processes_do_not_add_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another one holds the store nothing is written; afterwards both runs are there, in a shard each."""
    monkeypatch.setattr(stores, "LOCK_S", 0.0)
    store, (one, other) = Store(tmp_path / "store", "toy"), entries(tmp_path)
    assert store.append("first", [one], study_sha256="0" * 64) is not None
    with FileLock(tmp_path / "store" / LOCK), pytest.raises(RunBusyError, match="another process is adding"):
        store.append("first", [other], study_sha256="0" * 64)
    assert store.append("first", [other], study_sha256="0" * 64) is not None
    assert {entry.key for entry in store.entries()} == {one.key, other.key}


def test_a_manifest_that_hides_a_commit_is_refused(tmp_path: Path) -> None:
    """Its list of commits decides whether another commit goes on, so it has to be that of the records."""
    store = Store(tmp_path / "store", "toy")
    store.append("first", entries(tmp_path), study_sha256="0" * 64)
    path = tmp_path / "store" / MANIFEST
    tree = json.loads(path.read_text())
    tree["shards"][0]["commits"] = ["b" * 40]
    path.write_text(json.dumps(tree))
    with raises_naming(InputError, "first-000.jsonl.xz:1", "aaaaaaaaaaaa"):
        list(store.entries())


def rewritten(folder: Path, data: bytes, records: int) -> None:
    """Put another shard, which the manifest names truly."""
    (folder / "first-000.jsonl.xz").write_bytes(data)
    tree = json.loads((folder / MANIFEST).read_text())
    tree["shards"][0] |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "records": records}
    (folder / MANIFEST).write_text(json.dumps(tree))


@pytest.mark.slow
def test_a_run_that_is_stored_twice_is_refused(tmp_path: Path) -> None:
    """It would count as two seeds: in one shard, and by way of a shard that the manifest names twice."""
    store = Store(tmp_path / "store", "toy")
    store.append("first", entries(tmp_path), study_sha256="0" * 64)
    assert len(list(store.entries())) == 2
    honest = (store.folder / "first-000.jsonl.xz").read_bytes()
    tree = json.loads((store.folder / MANIFEST).read_text())
    (store.folder / MANIFEST).write_text(json.dumps(tree | {"shards": tree["shards"] * 2}))
    with pytest.raises(InputError, match="is stored twice"):
        list(store.entries())
    (store.folder / MANIFEST).write_text(json.dumps(tree))
    rewritten(store.folder, lzma.compress(lzma.decompress(honest) * 2), 4)
    with pytest.raises(InputError, match="is stored twice"):
        list(store.entries())


def test_bytes_behind_the_end_of_a_shard_are_refused(tmp_path: Path) -> None:
    """They would be stored and read by nobody."""
    store = Store(tmp_path / "store", "toy")
    store.append("first", entries(tmp_path), study_sha256="0" * 64)
    honest = (store.folder / "first-000.jsonl.xz").read_bytes()
    rewritten(store.folder, honest + b"more", 2)
    with raises_naming(InputError, "first-000.jsonl.xz", "bytes"):
        list(store.entries())


def test_a_void_run_counts_no_more_and_its_like_is_stored_anew(tmp_path: Path) -> None:
    """Of two runs one is void by its method and seed: must stay, the other; then all of the task in the shard."""
    store, (one, other) = Store(tmp_path / "store", "toy"), entries(tmp_path)
    store.append("first", [one, other], study_sha256="0" * 64)
    path = store.folder / MANIFEST
    tree = json.loads(path.read_text())
    void = {"shard": "first-000.jsonl.xz", "task": one.task, "reason": "its gradients were wrong"}
    run = [one.record.method_id, one.record.seed]
    path.write_text(json.dumps(tree | {"voided": [void | {"runs": [run]}]}))
    assert [entry.key for entry in store.entries()] == [other.key]
    assert store.append("first", [one, other], study_sha256="0" * 64, epoch=1) is not None
    assert {entry.key: entry.epoch for entry in store.entries()} == {one.key: 1, other.key: 0}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"voided": [void]}))
    assert [(entry.key, entry.epoch) for entry in store.entries()] == [(one.key, 1)]
