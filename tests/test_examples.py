"""The short scripts of examples/ run as they stand; that of Lightning has a test beside the callbacks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.rooms import ROOT

SAYS = {"which_width": "width_fwhm", "own_surrogate": "mine: loss 0.0", "faster_training": "equal outputs: True"}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs(name: str) -> None:
    """It ends well and prints its result; the loss is far below 0.693, that of guessing."""
    done = subprocess.run(
        [sys.executable, f"examples/{name}.py"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout


def test_every_example_has_a_test() -> None:
    """Expected: the files of the folder, but for Lightning's."""
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == {*SAYS, "lightning_user"}
