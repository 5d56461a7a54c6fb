"""Words of `sgbench run` that mean nothing, and Hydra's own flags: each is answered in one line, or works."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.composition.overrides import Overrides
from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.sweeps.notes import notes_before_running
from sgbench.sweeps.saved import build_and_check
from tests.messages import lines_naming
from tests.run.tiny import WORDS
from tests.thinned import thinned_rows

MEANINGLESS = {
    "numbers for a name": (["protocol=[1,2]"], "protocol=[1,2]: names of entries are needed"),
    "a whole number too long to read": (["seed=" + "9" * 5000], "a number of 400 digits or more"),
    "brackets in brackets": (["neuron.beta=" + "[" * 200 + "]" * 200], "nested more than 20 deep"),
    "mappings in mappings": (["neuron.beta=" + "{a:" * 200 + "1" + "}" * 200], "nested more than 20 deep"),
    "a key of 5,000 dots": (["a" + ".a" * 5000 + "=1"], "a key has at most 200 characters"),
    "an added key of 5,000 dots": (["+neuron" + ".a" * 5000 + "=1"], "a key has at most 200 characters"),
    "a sweep by way of the sweeper": (["hydra.sweeper.params={seed:[1,2]}"], "write -m key=1,2"),
    "the sweeper's own key": (["-m", "+hydra.sweeper.params.seed={a:1}"], "write -m key=1,2"),
    "a pattern": (["surrogate=glob(a*)"], "write the names: surrogate=a,b"),
    "a pattern in a sweep": (["-m", "surrogate=glob(a*)"], "write the names: surrogate=a,b"),
    "a range that stands still": (["-m", "seed=range(1,10,0)"], "a step other than 0"),
    "a range without a value": (["-m", "seed=range(3,1)"], "seed=range(3,1): has no values"),
    "a range of none": (["-m", "surrogate=atan,triangle", "seed=range(0)"], "seed=range(0): has no values"),
    "a zero byte": (["paths.runs_dir='a\0b'"], "holds a zero byte"),
    "a range without end": (["-m", "seed=range(1,inf)"], "finite ends"),
    "more points than anybody runs": (["-m", "seed=range(100000000)"], "at most 1000000"),
    "a name too long for a file": (["hydra/launcher=" + "a" * 5000], "hydra/launcher"),
    "--info of nothing": (["--info=nonsense"], "--info nonsense: one of all, config"),
    "--info with a wrong word": (["--info", "nonsense"], "not of the form key=value"),
    "--cfg of nothing": (["--cfg"], "one of job, hydra, all is needed"),
    "--cfg of a sweep": (["-m", "--cfg", "job", "seed=1,2"], "leave out -m"),
    "--cfg of two values": (["--cfg", "job", "seed=1,2"], "give one value"),
    "--cfg of a wrong entry": (["--cfg", "job", "surrogate=atann"], "did you mean 'atan'"),
    "--cfg of a wrong key": (["--cfg", "job", "neuron.bata=1"], "did you mean 'beta'"),
    "--cfg of a wrong package": (["--cfg", "job", "-p", "neuronn"], "--package neuronn"),
    "--cfg of what refers to nothing": (["--cfg", "job", "--resolve", "group=${nothing}"], "nothing"),
    "two flags": (["--cfg", "job", "--info"], "one of them at a time"),
    "-sc": (["-sc"], "one of install=bash"),
    "--hydra-help with a word": (["--hydra-help", "x=1"], "stands alone"),
}


@pytest.mark.one_in(5)
@pytest.mark.parametrize(("words", "said"), MEANINGLESS.values(), ids=MEANINGLESS)
def test_meaningless_words_are_one_short_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and a line that a terminal shows whole."""
    assert main(["run", *words]) == 2
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith("sgbench: error: ")
    assert said in line
    assert len(line) < 1000
    assert "Traceback" not in told.out + told.err


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("words", "shown"),
    thinned_rows(
        [
            (["--info"], "Defaults List"),
            (["--info", "defaults", "surrogate=triangle"], "surrogate/triangle"),
            (["-i=searchpath"], "Config search path"),
            (["surrogate=triangle", "-c", "job", "-p", "surrogate"], "Triangle"),
            (["--cfg=job", "--resolve", "seed=17"], "seed: 17"),
            (["--hydra-help"], "Hydra"),
            (["-sc", "install=bash"], "hydra_bash_completion"),
        ],
        3,
    ),
)
def test_flags_of_hydra_that_show_something(words: list[str], shown: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, wherever the flag stands."""
    assert main(["run", *words]) == 0
    told = capfd.readouterr()
    assert shown in told.out
    assert not told.err


@pytest.mark.parametrize(
    "value",
    [
        "${oc.env:HOME}",
        "a${oc.env:HOME}b",
        "'${oc.env:HOME}'",
        "${oc.decode:1}",
        "$\\{oc.env:HOME\\}",
        "${oc.${group}:HOME}",
        "[1,'${oc.env:HOME}']",
    ],
)
def test_a_word_calls_nothing_of_the_machine(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a variable of the environment holds would be in a record that nobody else can repeat."""
    monkeypatch.setenv("HOME", "/from/outside")
    for way in (compose, plan, Overrides.of):
        with pytest.raises(InputError, match="not for overrides"):
            way([f"group={value}"])


def test_a_word_may_refer_to_other_keys_and_to_our_functions() -> None:
    """By hand: exp(-0.001 / 0.010) and 0.5; text that looks alike is text."""
    spec = compose(["neuron.beta='${decay:0.010,${protocol.dt_s}}'", "readout.beta=${neuron.threshold}"])
    assert spec.method.parameters["neuron"]["beta"] == pytest.approx(0.9048374180359595)
    assert spec.method.parameters["readout"]["beta"] == 1.0
    assert compose(["group='oc.env:HOME'"]).group == "oc.env:HOME"


def test_what_a_user_typed_at_length_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A word of 100,000 characters: the line keeps its end, where the remedy stands."""
    assert main(["run", "neuron.beta=" + "b" * 100_000]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 1000
    assert line.endswith("a number in [0, 1] is needed")


def test_a_number_as_a_key_of_ones_own_entry_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """YAML reads it as a number, and the names that are known beside it are text."""
    (tmp_path / "surrogate").mkdir()
    shipped = catalogue.entry("surrogate", "atan").path.read_text()
    (tmp_path / "surrogate" / "mine.yaml").write_text(f"{shipped}5: 1\n")
    assert main(["run", f"--config-dir={tmp_path}", "surrogate=mine"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert lines_naming(line, "'surrogate.5'")


@pytest.mark.slow
def test_a_data_set_of_ones_own_is_said_to_run_under_another_ones_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever else deviates; with a protocol of its own, nothing is said."""
    (tmp_path / "mine.py").write_text("from sgbench.datasets.digits import Digits\n\n\nclass Mine(Digits):\n    pass\n")
    shipped = catalogue.entry("dataset", "digits")
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").write_text(shipped.path.read_text().replace(str(shipped.target), "mine.Mine"))
    monkeypatch.syspath_prepend(tmp_path)
    words = ["run", *WORDS, f"--config-dir={tmp_path}", "--allow-target=mine.Mine", "dataset=mine"]
    assert main(words) == 0
    told = capfd.readouterr().out
    assert lines_naming(told, "note", "dataset=mine", "digits_v1")
    assert "protocol.name=mine_v1" in told
    assert main([*words, "protocol.name=mine_v1"]) == 0
    assert "another data set" not in capfd.readouterr().out


@pytest.mark.slow
def test_a_sweep_over_shapes_of_unlike_widths_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: a fast sigmoid of slope 25 is 2 (sqrt 2 - 1) / 25 = 0.0331 wide, a Gaussian 2 sqrt(ln 2) = 1.665."""
    (line,) = notes_of("surrogate=fast_sigmoid,zero,gaussian")
    assert lines_naming(line, "50-fold", "fast_sigmoid", "0.033", "gaussian", "1.7")
    assert lines_naming(line, "width_fwhm=1")
    assert notes_of("surrogate=fast_sigmoid,zero,gaussian", "width_fwhm=1") == []
    assert notes_of("surrogate=atan,gaussian") == []
    assert notes_of("surrogate=gaussian", "width_fwhm=0.1,5") == []


def notes_of(*words: str) -> list[str]:
    """What a sweep says of widths before it runs."""
    planned = plan([*WORDS, *words], multirun=True)
    _, widths = build_and_check(planned)
    return [line for line in notes_before_running(planned, Overrides.of(words), widths) if "widths" in line]


def test_wandb_without_a_key_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    """A sweep says it once; wandb itself is not started and so waits for nobody."""
    monkeypatch.setattr("wandb.login", lambda **_: False)
    monkeypatch.setattr("wandb.init", lambda **_: pytest.fail("wandb was started"))
    words = ["run", "-m", *WORDS, "logger=wandb", "logger.wandb.mode=online", "seed=0,1"]
    assert main(words) == 2
    assert len(lines_naming(capfd.readouterr().err, "logger.wandb", "API key", "wandb login")) == 1
    assert not list(runs_dir.rglob("record.json"))


def test_a_removed_working_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what is gone, in place of an error number without a name."""
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert main(["list", "surrogate", "--allow-target", "mine.Half"]) == 2
    assert "the working folder is no longer there" in capsys.readouterr().err
