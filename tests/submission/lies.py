"""What a stranger can do to a submission, as functions of its files."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sgbench.records.method import method_id
from sgbench.records.spec import Method
from tests.leaderboard.factory import method
from tests.submission import factory
from tests.submission.factory import (
    INPUTS,
    Files,
    Tree,
    dump,
    edit,
    head,
    rerecord,
    reseal,
    sealed,
    trial,
    tuned,
    weights,
)

Change = Callable[[Files], Files]
Place = Callable[[Path], None]
WIDE = method(parameters={"surrogate": {"width_fwhm": 2.0}})


def put(path: str, data: bytes = b"x") -> Change:
    """Add or replace a file, hashes stated truly."""
    return lambda files: reseal(files | {path: data})


def drop(path: str) -> Change:
    """Leave a file out, and out of the list."""
    return lambda files: reseal({each: data for each, data in files.items() if each != path})


def raw(old: bytes, new: bytes) -> Change:
    """Change the bytes of submission.json."""

    def change(files: Files) -> Files:
        assert old in files["submission.json"]
        return files | {"submission.json": files["submission.json"].replace(old, new, 1)}

    return change


def says(**changes: Any) -> Change:
    """Change what submission.json says."""
    return lambda files: head(files, **changes)


def recorded(path: str, value: object, *, seed: int = 0) -> Change:
    """Change one place of a record, hashes stated truly."""

    def change(files: Files) -> Files:
        tree = json.loads(files[f"records/{seed}.json"])
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        node: Any = tree
        for part in parents:
            node = node[part]
        node[last] = value
        return edit(files, f"records/{seed}.json", **tree)

    return change


def changed(change: Callable[[Tree], None], *, seed: int = 0) -> Change:
    """Change a record in place, hashes stated truly."""

    def apply(files: Files) -> Files:
        tree = json.loads(files[f"records/{seed}.json"])
        change(tree)
        return edit(files, f"records/{seed}.json", **tree)

    return apply


def predicted(change: Callable[[list[str]], list[str]], *, seed: int = 0) -> Change:
    """Change the lines of a table of predictions, and name its hash in its record."""

    def apply(files: Files) -> Files:
        lines = files[f"predictions/{seed}.csv"].decode().split("\n")
        return rerecord(files, seed, predictions="\n".join(change(lines)).encode("utf-8", "surrogatepass"))

    return apply


def weighed(data: bytes) -> Change:
    """Put other weights, and name their hash in the record."""
    return lambda files: rerecord(files, weights=data)


def cell(row: int, column: int, text: str) -> Change:
    """Change one cell of a table of predictions."""

    def change(lines: list[str]) -> list[str]:
        cells = lines[row].split(",")
        cells[column] = text
        return [*lines[:row], ",".join(cells), *lines[row + 1 :]]

    return predicted(change)


def tensor(**changes: Any) -> bytes:
    """Weights whose first tensor is described otherwise."""
    data = weights()
    (length,) = struct.unpack("<Q", data[:8])
    tree = json.loads(data[8 : 8 + length])
    tree["layers.0.weight"] |= changes
    return sealed(json.dumps(tree).encode(), data[8 + length :])


def log(*trials: Tree, told: int | None = None) -> Change:
    """State a tuning log."""
    return lambda files: tuned(files, list(trials), told=told)


def own(seed: int = 0, **changes: Any) -> Tree:
    """A true line of the tuning log about the submitted method."""
    found, _, _ = factory.run(seed, hits=90 - seed)
    assert found.validation is not None
    accuracy, loss = found.validation.accuracy, found.validation.loss
    return trial(method(), method(), seed, loss=loss, accuracy=accuracy) | changes


def other(**changes: Any) -> Tree:
    """A line about another setting, worse on validation."""
    return trial(WIDE, method(), 0, loss=0.5) | changes


LAYER = {"dtype": "F32", "shape": [4, INPUTS], "data_offsets": [0, 4 * INPUTS * 4]}
F4 = np.dtype("<f4")


def rewritten(files: Files, change: Callable[[bytes], bytes]) -> Files:
    return files | {"submission.json": change(files["submission.json"])}


def without(files: Files, key: str) -> Files:
    tree = json.loads(files["submission.json"])
    del tree[key]
    return files | {"submission.json": dump(tree)}


def inside(files: Files, key: str, **changes: Any) -> Files:
    return head(files, **{key: json.loads(files["submission.json"])[key] | changes})


def note(files: Files, **changes: Any) -> Files:
    notes = json.loads(files["submission.json"])["files"]
    return head(files, files=[notes[0] | changes, *notes[1:]])


def note_twice(files: Files) -> Files:
    notes = json.loads(files["submission.json"])["files"]
    return head(files, files=[notes[0], *notes])


def seeds_of(files: Files) -> list[int]:
    """The seeds that have a record."""
    return [int(Path(path).stem) for path in files if path.startswith("records/")]


def everywhere(files: Files, change: Callable[[Tree], None]) -> Files:
    """Change the method in all records and in submission.json, with the id that it then has."""
    changed = dict(files)
    for seed in seeds_of(files):
        tree = json.loads(files[f"records/{seed}.json"])
        change(tree["method"])
        changed[f"records/{seed}.json"] = dump(tree)
    tree = json.loads(files["submission.json"])
    change(tree["method"])
    return reseal(changed | {"submission.json": dump(tree)})


def identified(files: Files) -> Files:
    """Give everything the id that the method really has, where it has one."""
    tree = json.loads(files["submission.json"])
    name = method_id(Method.model_validate(tree["method"]))
    changed = dict(files)
    for path in (*(f"records/{seed}.json" for seed in seeds_of(files)), "tuning.json", "submission.json"):
        changed[path] = dump(json.loads(files[path]) | {"method_id": name})
    return reseal(changed)


def numbered(files: Files, group: str, **numbers: Any) -> Files:
    changed = everywhere(files, lambda tree: tree["parameters"][group].update(numbers))
    return changed if any(isinstance(value, dict) for value in numbers.values()) else identified(changed)


def choice(files: Files, group: str, name: str) -> Files:
    changed = everywhere(files, lambda tree: tree["choices"].update({group: name}))
    return changed if "." in name else identified(changed)


def drop_seed(files: Files, seed: int) -> Files:
    endings = (f"/{seed}.json", f"/{seed}.csv", f"/{seed}.safetensors")
    return reseal({path: data for path, data in files.items() if not path.endswith(endings)})


def failed(files: Files, kind: str) -> Files:
    empty = dict.fromkeys(("validation", "test", "counts", "predictions_sha256", "weights_sha256"))
    failure = {"kind": kind, "message": "no memory"}
    kept = {path: data for path, data in files.items() if path not in ("predictions/0.csv", "weights/0.safetensors")}
    return edit(kept, "records/0.json", status="failed", failure=failure, **empty)


def short_curve(files: Files) -> Files:
    curve = json.loads(files["records/0.json"])["curve"]
    return edit(files, "records/0.json", curve=curve[:11])


def best_of_test(files: Files) -> Files:
    """State the weights of epoch 3, whose loss on validation is 0.8, as selected."""
    validation = json.loads(files["records/0.json"])["validation"]
    return edit(files, "records/0.json", best_epoch=3, validation=validation | {"loss": 0.8})


def spread(operations: int, spikes: int) -> Change:
    """State sums of squares over samples."""
    squares = {"synaptic_operations_squared": operations, "spikes_sent_squared": spikes}
    return recorded("counts.spread", {name: {"total": value, "reason": None} for name, value in squares.items()})


def accuracy(files: Files, seed: int, accuracy: float) -> Files:
    test = json.loads(files[f"records/{seed}.json"])["test"] | {"accuracy": accuracy}
    return edit(files, f"records/{seed}.json", test=test)


def target(files: Files) -> Files:
    """The labels of the second seed say what was answered."""
    lines = files["predictions/1.csv"].decode().split("\n")
    cells = [line.split(",") for line in lines]
    lines = [lines[0], *(",".join([row[0], row[2], *row[2:]]) for row in cells[1:-1]), ""]
    return rerecord(accuracy(files, 1, 1.0), 1, predictions="\n".join(lines).encode())


def link(path: Path) -> None:
    aside = path.parent.parent.parent / f"aside-{path.name}"
    aside.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(aside)


def link_folder(path: Path) -> None:
    aside = path.parent.parent / f"aside-{path.name}"
    path.rename(aside)
    path.symlink_to(aside)


def grow(path: Path, mib: int) -> None:
    """A file with a hole in it: large in its folder, small on the disk."""
    with path.open("r+b") as file:
        file.truncate(mib * 1024 * 1024)


def grow_all(root: Path) -> None:
    for seed in range(9):
        path = root / "predictions" / f"{seed}.csv"
        path.touch()
        grow(path, 63)


def many(root: Path) -> None:
    for seed in range(10, 3010):
        (root / "records" / f"{seed}.json").touch()
