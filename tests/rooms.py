"""The rooms of the package: its folders, its loose modules, and the floors that they stand on."""

from __future__ import annotations

import ast
import functools
import tomllib
from pathlib import Path

from sgbench.composition import catalogue

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sgbench"


@functools.cache
def syntax(text: str) -> ast.Module:
    """Parse a text, once a process for all tests that look at it; none of them changes the tree."""
    return ast.parse(text)


def folders_and_modules() -> set[str]:
    """Every folder of the package with an `__init__.py`, and every module that lies in none of them."""
    folders = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("__init__.py")} - {"."}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    return folders | modules


def catalogue_folders() -> set[str]:
    """The folders of the package in which the targets of `conf/` lie; loggers are ordinary functions."""
    entries = [entry for group in catalogue.TARGET_GROUPS for entry in catalogue.entries(group).values()]
    targets = [str(entry.target).split(".") for entry in entries if entry.group not in ("callback", "logger")]
    return {target[1] for target in targets if target[0] == "sgbench"}


def contract_floors() -> list[set[str]]:
    """The layers that lint-imports keeps, the highest first."""
    tree = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = (
        contract
        for contract in tree["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers" and contract["containers"] == ["sgbench"]
    )
    return [{name.strip() for name in layer.split("|")} for layer in contract["layers"]]
