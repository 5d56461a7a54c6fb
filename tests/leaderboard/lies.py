"""Records as a stranger would change them by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sgbench.records.files import parse_model
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method

Tree = dict[str, Any]


def parsed(tree: Tree) -> RunRecord:
    """A tree as a stranger would hand it in, with the id that its method has."""
    tree["method_id"] = method_id(Method.model_validate(tree["method"]))
    return parse_model(json.dumps(tree).encode(), RunRecord, "it")


def at(path: str, value: object, *, failed: bool = False) -> tuple[Callable[[Tree], None], bool]:
    """The lie that sets one place of a record."""

    def change(tree: Tree) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        node: Any = tree
        for part in parents:
            node = node[part]
        node[last] = value

    return change, failed
