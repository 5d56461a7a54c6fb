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
from sgbench.sweeps.saved import build_and_check
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


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_where_a_class_of_hydra_is_allowed(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole corpus again: one class that the user trusts opens nothing else."""
    monkeypatch.setenv("SGBENCH_ALLOW_HYDRA", "pathlib.PurePath")
    write(folder, HOSTILE[name]["files"])
    with pytest.raises(InputError):
        planned(HOSTILE[name]["words"])
    assert not list((folder.parent / "out").iterdir())


OWN = "pathlib.PurePath"  # stands for a class of the user's own


@pytest.mark.parametrize(
    ("file", "words", "said"),
    [
        (f"a: {{_target_: {OWN}}}", [], ""),
        ("a: {_target_: os.system}", [], "--allow-hydra os.system"),
        (f"a: {{_target_: {OWN}, b: {{_target_: os.system}}}}", [], "--allow-hydra os.system"),
        (f"a: {{_target_: {OWN}, b: [{{_target_: os.system}}]}}", [], "--allow-hydra os.system"),
        (f"a: {{_target_: {OWN}, b: '${{neuron}}'}}", [], "references"),
        ("a: {b: 1}", [], "_target_"),
        ("'${neuron}'", [], "mapping"),
        (f"a: {{_target_: {OWN}}}", ["-m", "hydra/launcher=replicas"], "hydra/launcher=basic"),
        (f"a: {{_target_: {OWN}}}", ["+hydra.callbacks.b._target_=os.getcwd"], "--allow-hydra os.getcwd"),
    ],
)
def test_callbacks_of_hydra_are_those_that_the_command_line_allows(
    file: str, words: list[str], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Must match: the allowed class alone passes; must differ: others, also inside of it, and references."""
    monkeypatch.setenv("SGBENCH_ALLOW_HYDRA", OWN)
    tree = f"{{{file}}}" if file.startswith("a:") else file
    write(folder, {"experiment/e.yaml": f"HEADhydra: {{callbacks: {tree}}}\n"})
    if not said:
        assert planned(["experiment=e"]).config is not None
        return
    with pytest.raises(InputError) as told:
        planned(["experiment=e", *words])
    assert said in one_printable_line(told.value)


@pytest.mark.parametrize("kind", ["launcher", "sweeper"])
def test_a_launcher_or_sweeper_of_ones_own(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder of one's own, allowed by its exact name; must differ: with another name, or in another package."""
    own = "hydra_plugins.mine.Mine"
    write(folder, {f"hydra/{kind}/mine.yaml": f"_target_: {own}\nspeed: 3\n"})
    write(folder, {f"hydra/{kind}/elsewhere.yaml": f"_target_: {OWN}\n"})
    words = ["-m", f"hydra/{kind}=mine", f"hydra.{kind}.speed=4", "seed=0,1"]
    for allowed in ("", "hydra_plugins.mine.Min"):
        monkeypatch.setenv("SGBENCH_ALLOW_HYDRA", allowed)
        with pytest.raises(InputError, match=f"--allow-hydra {own}"):
            planned(words)
    monkeypatch.setenv("SGBENCH_ALLOW_HYDRA", f"{own},{OWN}")
    assert planned(words).is_open == (kind == "sweeper")
    with pytest.raises(InputError, match="a folder hydra_plugins"):
        planned(["-m", f"hydra/{kind}=elsewhere", "seed=0,1"])


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
