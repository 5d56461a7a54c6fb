"""Accepted results from outside, as the files of a board say them, and the command that builds boards of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sgbench.cli.main import main
from sgbench.leaderboard.store.method_provenance import place
from sgbench.leaderboard.store.outside import place_external
from sgbench.records.submission import ExternalRecord, Submission, external_id

CODE = "https://example.org/mine"
SHA = "a" * 64


def hand_in(root: Path, *accuracies: float, name: str = "My net") -> str:
    """An accepted result from outside on digits_v1, as the files of a board say it; its id."""
    folder = root / "digits_v1"
    identity = external_id("digits_v1", name, CODE)
    for seed, accuracy in enumerate(accuracies):
        found = ExternalRecord(
            schema_version=1,
            protocol="digits_v1",
            method_id=identity,
            seed=seed,
            status="finished",
            samples=100,
            accuracy=accuracy,
            predictions_sha256=SHA,
        )
        place_external(folder, found)
    files = [{"path": "predictions/0.csv", "sha256": SHA, "bytes": 1}]
    head = {"protocol": "digits_v1", "method_id": identity, "division": "external", "name": name, "code": CODE}
    tree = head | {"schema_version": 1, "contact": "@me", "paper": None, "licence": "CC0-1.0", "method": None}
    tree |= {"seeds": range(len(accuracies)), "data_sha256": None, "environment": None, "tuning_trials": 0}
    tree |= {"files": files, "created_utc": "2026-01-01T00:00:00Z"}
    place(folder, Submission.model_validate_json(json_of(tree)))
    reference = folder / "objects" / f"{SHA}.csv.ref"
    reference.parent.mkdir(exist_ok=True)
    reference.write_text(f'{{"sha256": "{SHA}", "bytes": 1, "url": "{CODE}"}}')
    return identity


def json_of(tree: Mapping[str, object]) -> str:
    """Lists in place of ranges."""
    return json.dumps(tree, default=list)


def sgbench(*words: str, root: Path) -> int:
    """A subcommand of `board` on a leaderboards folder."""
    source = [] if words[0] == "check" else ["--from", "leaderboards"]
    return main(["board", *words, *source, "--root", str(root)])
