"""The worked page of a network for a chip runs as it is written, from the wheel in an empty folder."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.messages import lines_naming
from tests.rooms import ROOT

PAGE = ROOT / "docs" / "a_network_for_a_chip.md"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def script(page: Path) -> str:
    """The blocks in their order as one script of Python, in which commands of a shell have to succeed."""
    parts = ["import subprocess"]
    for language, code in BLOCK.findall(page.read_text()):
        shell = f"subprocess.run(['bash', '-ec', {code!r}], check=True)"
        parts.append(code if language == "python" else shell)
    return "\n".join(parts)


@pytest.mark.slow
def test_the_page_runs_from_the_wheel(tmp_path: Path) -> None:
    """Built, unpacked, and run without a checkout beside it; the export answers as the page asserts."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=600)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        archive.extractall(tmp_path / "wheel")
    command = tmp_path / "bin" / "sgbench"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m sgbench "$@"\n')
    command.chmod(0o755)
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "page.py").write_text(script(PAGE))
    environment = {
        "PYTHONPATH": str(tmp_path / "wheel"),
        "PATH": f"{command.parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, str(tmp_path / "page.py")],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "every neuron as often" in done.stdout
    assert lines_naming(done.stderr, "loihi1", "32 bits")
    assert not (empty / "never.npz").exists()
