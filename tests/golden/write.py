"""`make golden`: rewrite the golden files of this folder."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

from tests.golden import cases
from tests.leaderboard import factory


def main() -> None:
    """Write every file anew."""
    with tempfile.TemporaryDirectory() as runs:
        os.environ["SGBENCH_RUNS"] = runs
        for name in cases.experiments():
            _write(f"experiment_{name}.json", cases.composed(name))
        _write("method_ids.json", cases.method_ids())
        for rule in cases.RULES:
            _write(f"record_{rule}.json", cases.tiny_record(rule))
    factory.write()


def _write(name: str, tree: Any) -> None:
    text = json.dumps(tree, indent=1, sort_keys=True) + "\n"
    (cases.FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
