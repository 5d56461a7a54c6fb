"""`list`, `show`, `doctor`, `--help`: stable, light, and clear when something does not exist."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.composition import catalogue
from tests.messages import lines_naming

SURROGATES = catalogue.entries("surrogate")
DRAWN = [name for name in SURROGATES if "/" not in name] + ["snntorch/sigmoid", "braincog/straight_through_estimator"]
KINDS = ("stochastic_backward", "snntorch/sigmoid")  # of a random slope; of a preset
HEAVY = ("torch", "pytorch_lightning", "snntorch", "matplotlib", "scipy", "wandb", "sklearn", "torchmetrics")


LIGHT = (
    ["--help"],
    ["list"],
    ["list", "surrogate"],
    ["list", "surrogate", "--compact-support", "--learnable", "--json"],
    ["list", "surrogate", "--library", "snntorch"],
    ["show", "surrogate/atan"],
    ["show", "surrogate/snntorch/atan"],
    ["compare", "--help"],
    ["board", "--help"],
    ["run", "-h"],
)


def test_light_commands_import_nothing_heavy() -> None:
    """None of the heavy packages is in sys.modules after any of them; one after another, in one new process."""
    code = (
        "import sys\nfrom sgbench.cli.main import main\n"
        f"for words in {LIGHT!r}:\n"
        "    try:\n        main(words)\n"
        "    except SystemExit as stop:\n        assert not stop.code, words\n"
        f"    loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    assert not loaded, (words, loaded)\n"
        "print('LOADED []')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_list_names_every_group_and_entry(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON's keys are the folders of conf/ and its values their files."""
    assert main(["list", "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert set(tree) == set(catalogue.groups())
    assert tree["surrogate"] == sorted(catalogue.entries("surrogate"))


def test_list_of_groups_folds_presets(capsys: pytest.CaptureFixture[str]) -> None:
    """For people the surrogates' line has all canonical names and no preset; only the JSON names those."""
    assert main(["list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("surrogate ")]
    presets = [name for name in SURROGATES if "/" in name]
    assert all(name in line for name in SURROGATES if "/" not in name)
    assert not any(name in line for name in presets)
    assert f"{len(presets)} presets" in line


@pytest.mark.one_in(5)
@pytest.mark.parametrize("group", catalogue.groups())
def test_list_group_as_json_has_stable_keys(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every entry of every group carries the same five keys."""
    assert main(["list", group, "--json"]) == 0
    for entry in json.loads(capsys.readouterr().out):
        assert set(entry) == {"group", "name", "target", "parameters", "meta"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "surrogates"], "did you mean 'surrogate'"),
        (["show", "surrogate/atann"], "did you mean 'atan'"),
        (["show", "atan"], "GROUP/NAME is needed"),
        (["show", "rule/bptt", "--plot", "x.png"], "no picture"),
        (["show", "surrogate/atan", "--plot", "x.xyz"], ".png"),
        (["show", "surrogate/atan", "--plot", "/nowhere/x.png"], "does not exist"),
    ],
    ids=str,
)
def test_what_does_not_exist(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 2."""
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "name",
    [pytest.param(f"surrogate/{name}", marks=[] if name in KINDS else pytest.mark.slow, id=name) for name in DRAWN],
)
def test_every_surrogate_has_a_picture(name: str, tmp_path: Path) -> None:
    """A PNG of at least 800 pixels in width."""
    path = tmp_path / "picture.png"
    assert main(["show", name, "--plot", str(path)]) == 0
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20], "big") >= 800


NEURONS = ("leaky_readout", "psn")  # a step that sends no spikes; all steps at once
OTHERS = [name for name in catalogue.entries("neuron") if name not in NEURONS]


@pytest.mark.slow
@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", [*NEURONS, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_every_neuron_has_a_picture(name: str, tmp_path: Path) -> None:
    """A file is there; its content is looked at by people."""
    path = tmp_path / "picture.svg"
    assert main(["show", f"neuron/{name}", "--plot", str(path)]) == 0
    assert "<svg" in path.read_text()


@pytest.mark.slow
def test_doctor_finds_this_installation(capsys: pytest.CaptureFixture[str]) -> None:
    """No problems here; the keys are stable."""
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == []
    assert report["data"]["digits"].startswith("found")
    assert {"versions", "devices", "engines", "runs_dir", "data_dir", "conf_dir"} <= set(report)


@pytest.mark.slow
def test_doctor_says_what_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be written is a finding with its remedy, exit code 1."""
    monkeypatch.setenv("SGBENCH_RUNS", "/proc/nowhere/runs")
    monkeypatch.setattr("os.access", lambda *_: False)
    assert main(["doctor"]) == 1
    assert lines_naming(capsys.readouterr().out, "/proc/nowhere/runs", "SGBENCH_RUNS")
