"""The worked entries of docs/worked_entries.md, done as it says in a fresh copy of the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.documents import ROOT, WORKED_ENTRIES, files_shown, sections

FOLDERS = ("sgbench", "conf", "hydra_plugins", "tests", "tools")
FILES = ("conftest.py", "Makefile", "pyproject.toml", "README.md", "CONTRIBUTING.md")
PAGED = ("surrogate", "neuron")
"""Groups whose entries have pages."""
LONGEST_S = 300  # that a child process may take on a busy machine


class Example(NamedTuple):
    """A worked entry and the tests of its contract."""

    group: str
    name: str
    tests: tuple[str, ...]

    @property
    def heading(self) -> str:
        """How its section of the page begins."""
        kinds = {"rule": "A learning rule", "dataset": "A data set", "energy": "An energy target"}
        return kinds.get(self.group, f"A {self.group}")

    @property
    def golden(self) -> set[str]:
        """Golden ids that it adds."""
        words = f"{self.group}={self.name}"
        ids = {"surrogate": {words, f"{words} width_fwhm=1.0"}, "dataset": set(), "energy": set()}
        return ids.get(self.group, {words})


SURROGATE = Example(
    "surrogate",
    "biweight",
    (
        "tests/catalogue/test_surrogate_calls.py",
        "tests/catalogue/test_surrogate_refusals.py",
        "tests/catalogue/test_surrogates.py",
        "tests/test_catalogue.py",
    ),
)
SLOW = (
    Example("neuron", "floored", ("tests/catalogue", "tests/test_catalogue.py", "sgbench/neurons/floored.py")),
    Example(
        "rule",
        "checkpointed",
        ("tests/contracts/test_rules.py", "tests/test_catalogue.py", "sgbench/rules/checkpointed.py"),
    ),
    Example(
        "loss",
        "summed_softmax",
        ("tests/losses/test_losses.py", "tests/test_catalogue.py", "sgbench/losses/summed_softmax.py"),
    ),
    Example("dataset", "iris", ("tests/contracts/test_datasets.py", "tests/test_golden.py", "tests/test_catalogue.py")),
    Example("energy", "convention_ac_mac_fp16", ("tests/energy/test_targets.py", "tests/test_catalogue.py")),
)


class Checkout:
    """A copy of this checkout in which commands run with the copy first on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in FOLDERS:
            shutil.copytree(ROOT / name, folder / name)
        for name in FILES:
            shutil.copy2(ROOT / name, folder / name)

    def add(self, example: Example) -> None:
        """Write the files of a worked entry."""
        (text,) = (text for title, text in sections(WORKED_ENTRIES).items() if title.startswith(example.heading))
        files = files_shown(text)
        assert f"conf/{example.group}/{example.name}.yaml" in files
        for path, content in files.items():
            assert not (self.folder / path).exists(), f"{path}: the example is in the catalogue already"
            (self.folder / path).write_text(content)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command in the copy; it writes its runs there too."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "SGBENCH_RUNS": str(self.folder / "runs")}
        return subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST_S
        )

    def make_entry(self) -> subprocess.CompletedProcess[str]:
        """`make entry` with the running interpreter."""
        return self.run("make", "entry", f"WITH={sys.executable}")

    def pytest(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run tests of the copy in one process, without the rewriting of assertions, a third of the time."""
        return self.run(sys.executable, "-m", "pytest", "-n", "0", "-q", "--assert=plain", *words)

    def passed(self, example: Example) -> int:
        """How many tests of the entry's contract ran; all have to pass."""
        done = self.pytest("-m", "not gpu", "-k", example.name, *example.tests)
        assert done.returncode == 0, done.stdout + done.stderr
        return int(re.findall(r"(\d+) passed", done.stdout)[-1])

    def golden(self) -> dict[str, Any]:
        """All golden files, by their names."""
        return {path.name: json.loads(path.read_text()) for path in (self.folder / "tests/golden").glob("*.json")}

    def pages(self) -> set[str]:
        """Pages and pictures that a build of the site writes of the catalogue."""
        into = self.folder / "pages"
        done = self.run(sys.executable, "-m", "tools.catalogue_pages.pages", "--to", str(into))
        assert done.returncode == 0, done.stderr
        return {path.relative_to(into).as_posix() for path in into.rglob("*.*")}


def check_made_entry(checkout: Checkout, example: Example) -> None:
    """Write the entry, run `make entry`: new ids are there, all others are as they were; it has its page."""
    golden = checkout.golden()
    checkout.add(example)
    done = checkout.make_entry()
    assert done.returncode == 0, done.stdout + done.stderr
    after = checkout.golden()
    assert after["method_ids.json"].keys() - golden["method_ids.json"].keys() == example.golden
    grown = ("method_ids.json", "experiments.json")
    assert after.keys() == golden.keys()
    assert all(after[name] == golden[name] for name in golden if name not in grown)
    assert all(golden[name].items() <= after[name].items() for name in grown)
    if example.group in PAGED:
        assert {f"{example.group}/{example.name}.{kind}" for kind in ("md", "svg")} <= checkout.pages()


@pytest.mark.slow
def test_the_worked_surrogate(tmp_path: Path) -> None:
    """Expected: `make entry` adds its two ids, a build its page; more than ten contract tests of it pass."""
    checkout = Checkout(tmp_path / "checkout")
    check_made_entry(checkout, SURROGATE)
    assert checkout.passed(SURROGATE) > 10


@pytest.mark.slow
@pytest.mark.parametrize("example", SLOW, ids=lambda example: example.group)
def test_the_other_worked_entries(example: Example, tmp_path: Path) -> None:
    """Expected: the same of each group; golden ids are current. Must differ: another entry that moved."""
    checkout = Checkout(tmp_path / "checkout")
    check_made_entry(checkout, example)
    assert checkout.passed(example) >= 3
    up_to_date = "test_method_ids or test_composed_experiment"
    current = checkout.pytest("-k", up_to_date, "tests/test_golden.py")
    assert current.returncode == 0, current.stdout + current.stderr
    before = checkout.golden()
    other = checkout.folder / "conf" / "surrogate" / "triangle.yaml"
    other.write_text(other.read_text().replace("scale: 1.0", "scale: 1.5"))
    refused = checkout.make_entry()
    assert refused.returncode != 0
    assert re.search(r"golden: error: \S*surrogate=triangle", refused.stderr), refused.stderr
    assert checkout.golden() == before
