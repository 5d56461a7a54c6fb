"""Completion knows commands, groups, entries and parameters."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import yaml

from sgbench.cli.completion import (
    DEFAULTS,
    FIXED,
    GROUP_OF,
    SHELLS,
    _choices_in_comment,
    candidates,
    commands_of,
    script,
)
from sgbench.cli.main import main, parser
from sgbench.composition import catalogue
from sgbench.paths import conf_dir
from sgbench.replicas.where import PLACES
from tests.messages import lines_naming


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sgbench ver", ["verify"]),
        ("sgbench list surr", ["surrogate"]),
        ("sgbench show surrogate/tri", ["surrogate/triangle"]),
        ("sgbench run experiment=shd", ["experiment=shd", "experiment=shd_v2"]),
        ("sgbench run -m surrogate=atan,trian", ["surrogate=atan,triangle"]),
        ("sgbench run surrogate=stork/SuperSpike surrogate.be", ["surrogate.beta="]),
        ("sgbench run neuron@readout=leaky_r", ["neuron@readout=leaky_readout"]),
        ("sgbench run surrogate.al", ["surrogate.alpha="]),
        ("sgbench run wid", ["width_fwhm="]),
        ("sgbench sweep quick", ["quickstart"]),
        ("sgbench run nothing=a", []),
        ("sgbench run network.recurrence=", [f"network.recurrence={w}" for w in ("all_to_all", "none", "one_to_one")]),
        ("sgbench run network=conv network.pooling=m", ["network.pooling=max"]),
        ("sgbench run network.bias=", ["network.bias=false", "network.bias=true"]),
        ("sgbench run neuron.beta=", []),
        ("sgbench run hydra/launcher=rep", ["hydra/launcher=replicas"]),
        ("sgbench run --allow", ["--allow-env", "--allow-hydra", "--allow-target"]),
        ("sgbench sweep show quick", ["quickstart"]),
        ("sgbench data c", ["check", "checksum", "confirm"]),
        ("sgbench data show yin", ["yin_yang"]),
        ("sgbench data add yin", []),
        ("sgbench submit make --lic", ["--licence"]),
        ("sgbench study run surr", ["surrogates"]),
        ("sgbench study extend surrogates --ta", ["--task"]),
        ("sgbench reproduce spytorch", ["spytorch1", "spytorch2", "spytorch3"]),
        ("sgbench energy price runs --target horowitz_45nm_i", ["horowitz_45nm_int32", "horowitz_45nm_int8"]),
        ("sgbench energy decide experiment=digits surrogate=ata", ["surrogate=atan"]),
        ("sgbench completion z", ["zsh"]),
        ("sgbench sync runs --to t", ["tensorboard"]),
        ("sgbench board sh", ["show"]),
        ("sgbench board show --protocol digits_tuned", ["digits_tuned_v1", "digits_tuned_v2", "digits_tuned_v3"]),
        (
            "sgbench tune protocol=digits_tuned",
            ["protocol=digits_tuned_v1", "protocol=digits_tuned_v2", "protocol=digits_tuned_v3"],
        ),
        ("sgbench tune --by s", ["sobol"]),
        ("sgbench recommend experiment=fsdd_v", ["experiment=fsdd_v2"]),
        ("sgbench recommend --for s", ["safety", "spikes"]),
        ("sgbench diagnose ro", ["robustness"]),
        ("sgbench diagnose robustness --le", ["--levels"]),
        ("sgbench diagnose experiment=shd surrogate=tri", ["surrogate=triangle"]),
        ("sgbench verify --tier re", ["reinferred", "rescored", "retrained"]),
        ("sgbench export runs --for n", ["nir", "norse"]),
        ("sgbench check-entry --js", []),
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
    chosen = {key: value for each in tree["defaults"] if isinstance(each, dict) for key, value in each.items()}
    assert {group: chosen[group] for group in DEFAULTS} == DEFAULTS


def test_another_shell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """And every command can be completed."""
    assert main(["completion", "tcsh"]) == 2
    assert lines_naming(capsys.readouterr().err, "bash", "fish", "zsh")
    assert set(candidates("sgbench ", parser)) >= {"run", "sweep", "tune", "check-entry", "completion"}


def test_every_command_offers_something() -> None:
    """Expected: behind each command and each of its actions words, options, or both."""
    nothing = []
    for command in candidates("sgbench ", parser):
        for line in (f"sgbench {command} ", *(f"sgbench {command} {word} " for word in actions(command))):
            if not candidates(f"{line}--", parser) and not candidates(line, parser):
                nothing.append(line)
    assert nothing == []


def actions(command: str) -> list[str]:
    """Words below a command that are commands themselves."""
    (choices,) = (action.choices for action in parser()._actions if isinstance(action.choices, dict))
    return commands_of(choices[command])


def test_values_are_those_of_the_code() -> None:
    """Expected: the places of a sweep that it may run on, and the launcher of this package."""
    assert FIXED["hydra.launcher.on"] == PLACES
    assert "replicas" in FIXED["hydra/launcher"]


@pytest.mark.slow
def test_words_of_a_parameter_are_its_default_and_others() -> None:
    """Expected: of every entry, words that hold the default where that is one; some twenty parameters have any."""
    count = 0
    for group in catalogue.groups():
        for name, entry in catalogue.entries(group).items():
            text = catalogue.paths(group)[name].read_text()
            for key, value in entry.parameters.items():
                words = [] if isinstance(value, bool) else _choices_in_comment(text, key)
                if words:
                    count += 1
                    assert value in (*words, None) or str(value).startswith("$"), (group, name, key)
    assert count > 20


def test_keys_of_the_table_are_arguments() -> None:
    """Expected: each argument that entries are offered for is one of a command, so the table cannot go stale."""
    known = {"sweep name"}
    stack = [((), parser())]
    while stack:
        path, one = stack.pop()
        for action in one._actions:
            if isinstance(action.choices, dict):
                stack += [((*path, name), below) for name, below in action.choices.items()]
            else:
                known |= {" ".join([*path, action.dest]), " ".join([*path[:1], action.dest])}
                known |= {*action.option_strings, *(f"{path[0]} {word}" for word in action.option_strings if path)}
    assert set(GROUP_OF) <= known


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_shells_read_their_script(shell: str) -> None:
    """Without running it."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=script(shell), text=True, check=True)
