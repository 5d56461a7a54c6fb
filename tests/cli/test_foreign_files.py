"""Files of somebody else are data: what acts, reads the machine or writes elsewhere is refused first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.types import RunMode

from sgbench.cli.main import main
from sgbench.composition.hydra_internals import checked_loader
from sgbench.composition.plan import RunPlan, plan
from sgbench.errors import InputError, one_printable_line
from sgbench.paths import OWN_CONF_FOLDER
from sgbench.sweeps.checked import build_and_check
from tests.thinned import thinned

HOSTILE: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("hostile.yaml").read_text())
HEAD = "# @package _global_\ndefaults:\n  - _self_\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, beside one that nothing may be written to."""
    (tmp_path / "out").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def write(folder: Path, files: dict[str, str]) -> None:
    """Lay files into the folder of one's own entries, which every command looks at."""
    for name, text in files.items():
        path = folder / OWN_CONF_FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("HEAD", HEAD).replace("OUT", str(folder.parent / "out")))


def planned(words: list[str]) -> RunPlan:
    """What `sgbench run` does with words before it runs anything."""
    made = plan([word for word in words if word != "-m"], multirun="-m" in words)
    build_and_check(made)
    return made


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", thinned(HOSTILE, 3))
def test_a_hostile_file_is_refused(name: str, folder: Path) -> None:
    """One line names the key; no file appears, no variable changes."""
    case = HOSTILE[name]
    write(folder, case["files"])
    before = dict(os.environ)
    with pytest.raises(InputError) as told:
        planned(case["words"])
    line = one_printable_line(told.value)
    assert case["said"] in line
    assert len(line) < 1000
    assert dict(os.environ) == before
    assert not list((folder.parent / "out").iterdir())
    assert {path.name for path in folder.iterdir()} == {OWN_CONF_FOLDER}


def test_the_corpus_is_large_enough() -> None:
    """Thirty ways or more, each of another name."""
    assert len(HOSTILE) >= 30


def test_every_merge_of_a_job_is_checked(folder: Path) -> None:
    """A sweeper that chooses as it goes has its points merged by Hydra, in whichever process."""
    write(folder, HOSTILE["the second of two experiments"]["files"])
    loader = checked_loader()
    words = ["hydra.mode=MULTIRUN", f"hydra.searchpath=[file://{folder / OWN_CONF_FOLDER}]"]
    master = loader.load_configuration("config", words, run_mode=RunMode.MULTIRUN)
    loader.load_sweep_config(master, ["experiment=digits"])
    with pytest.raises(InputError, match=r"hydra\.job\.env_set\.PATH"):
        loader.load_sweep_config(master, ["experiment=e"])


HARMLESS = {
    "a sweep with all that it may set": (
        {
            "sweep/s.yaml": "# @package _global_\ndefaults:\n  - override /experiment: digits\n"
            "  - override /hydra/launcher: replicas\ngroup: mine\nhydra: {mode: MULTIRUN, launcher: {workers: 1, "
            "'on': slurm, partition: cpu-long, timeout_min: 5}, sweeper: {params: {seed: '0,1'}, points: "
            "{list: ['rule=bptt', 'rule=dfa']}}}\n"
        },
        ["sweep=s"],
        4,
    ),
    "references to numbers": (
        {"experiment/e.yaml": "HEADneuron: {beta: '${decay:0.010,${protocol.dt_s}}'}\n"},
        ["experiment=e"],
        1,
    ),
    "what sgbench's own file reads": (
        {"experiment/e.yaml": "# @package _global_\ndefaults:\n  - override /logger: csv\n"},
        ["experiment=e", "logger=wandb", "logger.wandb.mode=offline"],
        1,
    ),
    "words that are typed": (
        {"experiment/e.yaml": "HEADengine: reference\n"},
        [
            "-m",
            "experiment=e",
            "hydra/launcher=replicas",
            "hydra.launcher.slurm={account: mine}",
            "hydra.sweep.subdir=inner",
            "+hydra.job.env_set.A=1",
            "paths.runs_dir=elsewhere",
        ],
        1,
    ),
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", thinned(HARMLESS, 3))
def test_what_a_file_may_say_is_read(name: str, folder: Path) -> None:
    """Entries, values, the points of a sweep and how many work on them; and whatever is typed."""
    files, words, count = HARMLESS[name]
    write(folder, files)
    made = planned(words)
    assert len(made.specs) == count
    if name == "references to numbers":
        assert made.specs[0].method.parameters["neuron"]["beta"] == pytest.approx(0.9048374180359595)


def test_a_variable_that_was_allowed_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name alone, and for one command."""
    monkeypatch.setenv("MINE", "from-outside")
    monkeypatch.delenv("SGBENCH_ALLOW_ENV", raising=False)
    write(folder, {"experiment/e.yaml": "HEADgroup: '${oc.env:MINE}'\n"})
    words = ["run", "experiment=e", "--cfg", "job", "--resolve"]
    assert main([*words, "--allow-env", "MINE"]) == 0
    assert "group: from-outside" in capsys.readouterr().out
    assert main([*words, "--allow-env=OTHER"]) == 2
    assert "add --allow-env MINE" in capsys.readouterr().err
    assert "SGBENCH_ALLOW_ENV" not in os.environ
