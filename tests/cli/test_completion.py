"""Completion knows commands, groups, entries and parameters."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import yaml

from sgbench.cli.main import commands_of, main, parser
from sgbench.composition.completion import DEFAULTS, SHELLS, candidates, script
from sgbench.paths import conf_dir


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sgbench ver", ["verify"]),
        ("sgbench list surr", ["surrogate"]),
        ("sgbench show surrogate/tri", ["surrogate/triangle"]),
        ("sgbench run experiment=shd", ["experiment=shd"]),
        ("sgbench run -m surrogate=atan,trian", ["surrogate=atan,triangle"]),
        ("sgbench run surrogate=stork/SuperSpike surrogate.be", ["surrogate.beta="]),
        ("sgbench run neuron@readout=leaky_r", ["neuron@readout=leaky_readout"]),
        ("sgbench run surrogate.al", ["surrogate.alpha="]),
        ("sgbench run wid", ["width_fwhm="]),
        ("sgbench sweep quick", ["quickstart"]),
        ("sgbench run nothing=a", []),
        ("sgbench run surrogate=nothing surrogate.a", []),
    ],
)
def test_what_is_offered(line: str, offered: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """By hand, from the catalogue; what does not exist offers nothing and says nothing."""
    assert main(["completion", "--line", line]) == 0
    assert capsys.readouterr().out.split() == offered


def test_defaults_are_those_of_the_reference_run() -> None:
    """Expected: conf/config.yaml."""
    tree = yaml.safe_load((conf_dir() / "config.yaml").read_text())
    chosen = {
        key: value for each in tree["defaults"] if isinstance(each, dict) for key, value in each.items()
    }
    assert {group: chosen[group] for group in DEFAULTS} == DEFAULTS


def test_another_shell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """And every command can be completed."""
    assert main(["completion", "tcsh"]) == 2
    assert "one of bash, fish, zsh" in capsys.readouterr().err
    assert set(candidates("sgbench ", lambda: commands_of(parser()))) >= {
        "run",
        "sweep",
        "check-entry",
        "completion",
    }


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_shells_read_their_script(shell: str) -> None:
    """Without running it."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=script(shell), text=True, check=True)
