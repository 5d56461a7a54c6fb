"""What README shows runs as it stands, in an empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

import sgbench
from sgbench.cli.main import main
from tests.documents import ROOT, blocks
from tests.yours.test_compare_in import Network, X, Y

README = ROOT / "README.md"
LINES = [line.partition("  #")[0].strip() for block in blocks(README, "sh") for line in block.splitlines()]
INLINE = re.findall(r"`(sgbench [^`]*)`", README.read_text())
CALLS = [line for block in blocks(README, "text") for line in block.splitlines()]
EVERY = [line for line in LINES if line]


class BatchFirst(Network):
    """Takes [batch, time, channels]; each make is a new network."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output of a network whose input is [time, batch, channels]."""
        return super().forward(x.transpose(0, 1))


def test_every_line_is_one_that_is_tried_here() -> None:
    """Hand count: each line of a terminal is pip's or ours, and each call is one of sgbench."""
    assert {line.split()[0] for line in EVERY} == {"pip", "sgbench"}
    assert len(CALLS) == 3
    assert all("sgbench." in call for call in CALLS)


def test_what_pip_installs_is_here() -> None:
    """The folder of README is a project that pip can build; the wheel itself is made by tests/test_house.py."""
    assert "pip install ." in EVERY
    assert "[build-system]" in (ROOT / "pyproject.toml").read_text()


@pytest.mark.slow
def test_the_commands_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder; a command of a sentence gets the experiment that README's own sweep has."""
    monkeypatch.chdir(tmp_path)
    ours = [line for line in EVERY if line.startswith("sgbench ")]
    assert len(ours) == 2
    for line in [*ours, *INLINE]:
        assert main(shlex.split(line.replace("NAME", "digits"))[1:]) == 0, line
    assert len([*(tmp_path / "runs").rglob("record.json")]) == 2 * 2 * 3


@pytest.mark.slow
def test_the_calls_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On small data and a small network of snnTorch, with the names that README leaves to the reader."""
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(80) % 2
    spikes = (torch.rand(80, 10, 8, generator=generator) < 0.1 + 0.4 * labels[:, None, None]).float()
    names = {
        "sgbench": sgbench,
        "x_train": spikes[:60],
        "y_train": labels[:60],
        "x_test": spikes[60:],
        "y_test": labels[60:],
        "x": X,
        "y": Y,
        "make_module": BatchFirst,
        "network": BatchFirst(),
    }
    for call in CALLS:
        exec(call, names)  # noqa: S102 - our own document
