"""The notebooks of the tutorial run from their first cell to their last, as `make docs` runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rooms import ROOT

TUTORIAL = ROOT / "docs" / "tutorial"
NOTEBOOKS = sorted(TUTORIAL.glob("[0-9]_*.md"))
CELL = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```", re.DOTALL | re.MULTILINE)


def cells(path: Path) -> list[str]:
    """The code of each cell."""
    return CELL.findall(path.read_text())


def test_there_are_five_notebooks_in_their_order() -> None:
    """Hand count: five, each in the list of the first page, without magics that no test would run."""
    assert [path.name[0] for path in NOTEBOOKS] == ["1", "2", "3", "4", "5"]
    listed = re.findall(r"^\| \[\d\. .*?\]\((\S+)\)", (TUTORIAL / "index.md").read_text(), flags=re.MULTILINE)
    assert listed == [path.name for path in NOTEBOOKS]
    for path in NOTEBOOKS:
        assert cells(path)
        assert not re.search(r"^\s*[!%]", "\n".join(cells(path)), flags=re.MULTILINE), path


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    """In a process and a folder of its own, without an account or a network; pictures are not shown."""
    shown = "from pathlib import Path\n\n\ndef Image(path, width):\n    assert Path(path).is_file()\n"
    code = "\n".join(cells(path)).replace("from IPython.display import Image", shown)
    (tmp_path / "notebook.py").write_text(code)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SGBENCH_")}
    path_of_code = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**kept, "WANDB_MODE": "offline", "PYTHONPATH": path_of_code}
    done = subprocess.run(
        [sys.executable, "notebook.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    if "wandb" in path.stem:
        runs = len([*tmp_path.rglob("record.json")])
        assert len([*tmp_path.rglob("offline-run-*")]) == runs > 0
