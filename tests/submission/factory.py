"""A valid submission on the toy protocol, in memory, and what it takes to change it by hand."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sgbench.leaderboard.deviation import ProtocolReference
from sgbench.leaderboard.store.predictions import Outputs, PredictionTable
from sgbench.records.content import EpochScores
from sgbench.records.files import to_json
from sgbench.records.method import identity, method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.submissions.tuning import changes
from tests.leaderboard.factory import CLASSES, SAMPLES, ToyReferences, method, record

Tree = dict[str, Any]
Files = dict[str, bytes]


class NoData:
    """A judge on whose machine no data set is, and who is asked for no loss."""

    def loss_of(self, outputs: Outputs, reference: ProtocolReference) -> float:
        """The toy protocol has classes."""
        raise AssertionError(reference.protocol.name)

    def wanted(self, reference: ProtocolReference, seed: int) -> PredictionTable | None:
        """Nothing to compare with."""
        return None

    def impossible(self, method: Method) -> str | None:
        """The toy catalogue names no class."""
        return None

    def misfit(self, record: RunRecord, weights: bytes, name: str) -> str | None:
        """Nothing to compare with here either."""
        return None


REFERENCES, JUDGE = ToyReferences(), NoData()
SEEDS = (0, 1, 2)
EPOCHS = 20
INPUTS = 7


def logits(seed: int, of: int = 0) -> np.ndarray:
    """Random scores of one run; the same labels in all."""
    return np.random.default_rng(1000 * of + seed).normal(size=(SAMPLES, CLASSES)).round(6)


def predictions(scores: np.ndarray, hits: int) -> bytes:
    """A table in which the first samples are right; labels are 0, 1, 2 and so on, over and over."""
    scores = scores.copy()
    target = np.arange(SAMPLES) % CLASSES
    wrong = (target + 1 + scores[:, :-1].argmax(axis=1)) % CLASSES
    wanted = np.where(np.arange(SAMPLES) < hits, target, wrong)
    scores[np.arange(SAMPLES), wanted] = scores.max(axis=1) + 1
    lines = ["index,target,prediction," + ",".join(f"logit_{k}" for k in range(CLASSES))]
    for index, row in enumerate(scores):
        lines.append(f"{index},{target[index]},{wanted[index]}," + ",".join(f"{each:.9g}" for each in row))
    return ("\n".join(lines) + "\n").encode()


KINDS = {"f4": "F32", "f8": "F64", "f2": "F16", "i8": "I64", "b1": "BOOL", "u1": "BOOL"}


def weights(tensors: Mapping[str, np.ndarray] | None = None, *, value: float = 1.0) -> bytes:
    """The network's two layers, all of one value, or others."""
    chosen = tensors or {
        "layers.0.weight": np.full((4, INPUTS), value, dtype="<f4"),
        "layers.1.weight": np.full((CLASSES, 4), value, dtype="<f4"),
    }
    header: Tree = {}
    body = b""
    for name, values in chosen.items():
        kind = KINDS[values.dtype.str[1:]]
        offsets = [len(body), len(body) + values.nbytes]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": offsets}
        body += values.tobytes()
    return sealed(json.dumps(header).encode(), body)


def sealed(header: bytes, body: bytes) -> bytes:
    """A safetensors file."""
    return struct.pack("<Q", len(header)) + header + body


def run(seed: int, *, hits: int = 90, of: Method | None = None, family: int = 0) -> tuple[RunRecord, bytes, bytes]:
    """A record with its predictions and weights."""
    base = record(seed=seed, accuracy=hits / SAMPLES, of=of or method())
    data, stored = predictions(logits(seed, family), hits), weights(value=1 + seed + 100 * family)
    assert base.validation is not None
    curve = tuple(
        EpochScores(
            epoch=epoch,
            train_loss=1.0,
            validation_loss=0.1 + abs(epoch - 10) / 10,
            validation_accuracy=base.validation.accuracy,
        )
        for epoch in range(EPOCHS)
    )
    versions = {"sgbench": "0.1.0", "torch": "2.6.0"}
    changed = base.model_dump() | {
        "curve": [line.model_dump() for line in curve],
        "best_epoch": 10,
        "parameters": 4 * INPUTS + CLASSES * 4,
        "predictions_sha256": hashlib.sha256(data).hexdigest(),
        "weights_sha256": hashlib.sha256(stored).hexdigest(),
        "provenance": base.provenance.model_dump() | {"versions": versions, "commit": "a" * 40, "clean": True},
    }
    return RunRecord.model_validate(changed), data, stored


def submission(*, of: Method | None = None, family: int = 0, hits: int = 90) -> Files:
    """All files of a valid submission of three seeds, untuned."""
    chosen = of or method()
    files: Files = {}
    for seed in SEEDS:
        found, data, stored = run(seed, hits=hits - seed, of=chosen, family=family)
        files[f"records/{seed}.json"] = to_json(found)
        files[f"predictions/{seed}.csv"] = data
        files[f"weights/{seed}.safetensors"] = stored
    name = method_id(chosen)
    log = {"schema_version": 1, "protocol": "toy_v1", "method_id": name, "trials": []}
    files["tuning.json"] = dump(log)
    head = {
        "schema_version": 1,
        "protocol": "toy_v1",
        "method_id": name,
        "division": "closed",
        "name": "atan at width 1",
        "contact": "someone@example.org",
        "paper": "arXiv:1901.09948",
        "code": None,
        "licence": "CC-BY-4.0",
        "method": chosen.model_dump(mode="json"),
        "seeds": list(SEEDS),
        "data_sha256": "d" * 64,
        "environment": {
            "commit": "a" * 40,
            "clean": True,
            "versions": {"sgbench": "0.1.0"},
            "python": "3.11",
            "platform": "Linux x86_64",
            "processor": "x86",
            "device": "cpu",
        },
        "tuning_trials": 0,
        "files": [],
        "created_utc": "2026-01-01T00:00:00+00:00",
    }
    files["submission.json"] = dump(head)
    return reseal(files)


def dump(tree: object) -> bytes:
    """As a stranger would write it."""
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


def reseal(files: Files) -> Files:
    """State the true hashes of all files, so that one lie is not found by another check."""
    head = json.loads(files["submission.json"])
    head["files"] = [
        {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for path, data in files.items()
        if path != "submission.json"
    ]
    return files | {"submission.json": dump(head)}


def edit(files: Files, path: str, **changes_: Any) -> Files:
    """Change the top of one JSON file and reseal; a record stays laid out as a run writes it."""
    tree = json.loads(files[path]) | changes_
    if path.startswith("records/"):
        return reseal(files | {path: json.dumps(tree, indent=1, sort_keys=True).encode() + b"\n"})
    return reseal(files | {path: dump(tree)})


def head(all_files: Files, /, **changes_: Any) -> Files:
    """Change submission.json alone."""
    return all_files | {"submission.json": dump(json.loads(all_files["submission.json"]) | changes_)}


def rerecord(files: Files, seed: int = 0, **artefacts: bytes) -> Files:
    """Put other predictions or weights of one seed, and name their hashes in its record."""
    names = {"predictions": f"predictions/{seed}.csv", "weights": f"weights/{seed}.safetensors"}
    hashes = {f"{kind}_sha256": hashlib.sha256(data).hexdigest() for kind, data in artefacts.items()}
    changed = files | {names[kind]: data for kind, data in artefacts.items()}
    return edit(changed, f"records/{seed}.json", **hashes)


def trial(of: Method, chosen: Method, seed: int, *, loss: float = 0.1, accuracy: float = 0.9) -> Tree:
    """A line of the tuning log."""
    return {
        "method_id": method_id(of),
        "seed": seed,
        "status": "finished",
        "settings": changes(identity(chosen), identity(of)),
        "validation_accuracy": accuracy,
        "validation_loss": loss,
    }


def tuned(files: Files, trials: list[Tree], *, told: int | None = None) -> Files:
    """State a tuning log."""
    count = len({each["method_id"] for each in trials}) if told is None else told
    return head(edit(files, "tuning.json", trials=trials), tuning_trials=count)


def write(root: Path, files: Files) -> Path:
    """Lay the files out; returns the folder."""
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root
