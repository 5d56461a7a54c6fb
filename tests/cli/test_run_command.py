"""`sgbench run` as a user types it, right and wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hydra.core.plugins import Plugins

from sgbench.cli.main import main
from sgbench.errors import InputError
from tests.run.tiny import WORDS

BAD = [
    ("surrogate=atann", "did you mean 'atan'"),
    ("+surrogate=atann", "did you mean 'atan'"),
    ("surogate=atan", "did you mean 'surrogate'"),
    ("+surogate=atan", "did you mean 'surrogate'"),
    ("experiment=digit", "did you mean 'digits'"),
    ("neuron.bata=1", "did you mean 'beta'"),
    ("+neuron.bata=1", "did you mean 'beta'"),
    ("++neuron.bata=1", "did you mean 'beta'"),
    ("+protocol.stepps=3", "protocol.stepps"),
    ("+trainer.gpus=3", "trainer.gpus"),
    ("~surrogate.alpha", "'surrogate.alpha' is missing"),
    ("neuron.beta=abc", "neuron.beta='abc': a number in [0, 1]"),
    ("neuron.beta=1.5", "neuron.beta=1.5: a number in [0, 1]"),
    ("neuron.beta=-0.1", "neuron.beta=-0.1: a number in [0, 1]"),
    ("neuron.beta=nan", "neuron.beta: a finite number"),
    ("neuron.beta=[1,2]", "neuron.beta"),
    ("neuron.threshold=0", "neuron.threshold=0"),
    ("neuron.reset=substract", "one of subtract"),
    ("surrogate.alpha=-1", "surrogate.alpha=-1: a number in [1e-06, 1e+06]"),
    ("surrogate.scale=0", "surrogate.scale=0"),
    ("surrogate.normalisation=peak", "one of peak1, area1, raw"),
    ("width_fwhm=-1", "surrogate.width_fwhm=-1"),
    ("protocol.steps=0", "protocol.steps: Input should be greater than 0"),
    ("protocol.steps=2.5", "protocol.steps"),
    ("protocol.epochs=-3", "protocol.epochs"),
    ("protocol.dt_s=0", "dt_s=0"),
    ("protocol.hidden=[]", "protocol.hidden"),
    ("protocol.hidden=[0]", "protocol.hidden"),
    ("protocol.batch_size=many", "protocol.batch_size"),
    ("protocol.name=../../etc", "protocol.name"),
    ("network.hidden=64", "network.hidden=64: a list of layer sizes"),
    ("network.recurrence=full", "one of none, one_to_one, all_to_all"),
    ("optimizer.lr=-1", "Invalid learning rate"),
    ("optimizer.lr=1e100", "optimizer.lr=1e+100: a number in [-1e+18, 1e+18]"),
    ("optimizer.lr=true", "optimizer.lr=True: a number"),
    ("optimizer.eps=18446744073709551616", "optimizer.eps=18446744073709551616: a number"),
    ("optimizer.weight_decay=true", "optimizer.weight_decay=True: a number"),
    ("optimizer.betas=[true,0.9]", "optimizer.betas=True: a number"),
    ("readout.beta=7", "error: readout.beta=7: a number in [0, 1]"),
    ("readout.threshold=7", "readout.threshold"),
    ("seed=-1", "seed"),
    ("seed=abc", "seed"),
    ("seed=1,2", "add -m"),
    ("clip_norm=0", "clip_norm"),
    ("engine=fast", "engine"),
    ("rule=eprop", "use loss=per_step"),
    ("neuron=leaky_readout", "can only be a readout"),
    ("surrogate=cauchy", "sgbench calls it 'atan'"),
    ("surrogate=null", "must be a string or a list"),
    ("lr=0.01", "did you mean optimizer.lr?"),
    ("epochs=5", "did you mean protocol.epochs?"),
    ("logger=csv,wandb", "logger=[csv,wandb]"),
    ("seed=true", "seed: Input should be a valid integer"),
    ("clip_norm=true", "clip_norm: Input should be a valid number"),
    ("encoder.steps=9", "set protocol.steps"),
    ("network.hidden=[1000000000000]", "network (sgbench.networks.mlp.Mlp)"),
    ("optimizer.betas=[0.9]", "optimizer.betas=[0.9]: 2 numbers are needed"),
    ("optimizer.betas=[0.9,0.9,0.9]", "optimizer.betas=[0.9, 0.9, 0.9]: 2 numbers are needed"),
    ("optimizer.amsgrad=5", "optimizer.amsgrad=5: true or false is needed"),
    ("+hydra.callbacks.evil._target_=os.getcwd", "hydra.callbacks"),
    ("hydra.launcher._target_=os.getcwd", "not an installed launcher"),
    ("hydra.sweeper._target_=os.getcwd", "not an installed sweeper"),
    ("+hydra.job_logging.handlers.x.class=os.getcwd", "hydra.job_logging: names a class"),
    ("+allow_targets=[os.system]", "key 'allow_targets' is not known"),
    ("rule.window=0", "rule.window=0"),
    ("loss=spike_count", "use neuron@readout=leaky"),
    ("neuron._target_=os.system", "cannot be replaced"),
    ("neuron._target_=sgbench.neurons.synaptic.Synaptic", "cannot be replaced"),
    ("+neuron._args_=[1]", "neuron._args_"),
    ("encoder.max_rate_hz=1", "encoder.max_rate_hz"),
    ("surrogate=[", "not of the form key=value"),
    ("atan", "not of the form key=value"),
    ("paths.runs_dir=/proc/nowhere", "cannot be written"),
    ("--fast", "this flag is not known"),
    ("--config-dir=/nowhere", "no such folder"),
]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        pytest.param(word, said, id=word, marks=[pytest.mark.slow] * (place % 4 > 0))
        for place, (word, said) in enumerate(BAD)
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    word: str, said: str, capsys: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    """The line names the thing and the remedy; nothing has run and nothing is stored."""
    assert main(["run", *WORDS, word]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("sgbench: error: ")
    assert said in line
    assert "Traceback" not in captured.out + captured.err
    assert not list(runs_dir.rglob("record.json"))


def test_one_run_says_its_score_and_its_record(capfd: pytest.CaptureFixture[str], runs_dir: Path) -> None:
    """Exit code 0; the line's accuracy is the record's."""
    assert main(["run", *WORDS, "seed=3"]) == 0
    out = capfd.readouterr().out
    (path,) = runs_dir.rglob("record.json")
    assert str(path) in out
    accuracy = json.loads(path.read_text())["test"]["accuracy"]
    assert f"test {100 * accuracy:.1f} %" in out
    assert path.parts[-2] == "3"


def test_a_sweep_runs_every_point_and_skips_finished_ones(
    capfd: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    """2 x 2 points; asked again, all four are already finished."""
    words = ["run", "-m", *WORDS, "surrogate=atan,triangle", "seed=0,1"]
    assert main(words) == 0
    assert len(list(runs_dir.rglob("record.json"))) == 4
    assert "4 runs, 0 already finished" in capfd.readouterr().out
    assert main(words) == 0
    assert "4 runs, 4 already finished" in capfd.readouterr().out


@pytest.mark.slow
def test_a_failed_point_does_not_end_a_sweep(
    capfd: pytest.CaptureFixture[str], runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 0 fails in training; seed 1 finishes; exit code 1 and the summary names seed 0."""
    from sgbench.training.learner import Learner

    train = Learner.training_step

    def fail_once(self: Learner, batch, batch_idx: int) -> None:
        if self.trainer.datamodule.data.seed == 0:
            raise ArithmeticError("made to fail")
        train(self, batch, batch_idx)

    monkeypatch.setattr(Learner, "training_step", fail_once)
    assert main(["run", "-m", *WORDS, "seed=0,1"]) == 1
    captured = capfd.readouterr()
    assert "1 of 2 runs finished" in captured.out
    assert "atan seed 0: epoch 0: made to fail" in captured.err
    statuses = sorted(json.loads(path.read_text())["status"] for path in runs_dir.rglob("record.json"))
    assert statuses == ["failed", "finished"]


def test_a_sweep_with_one_bad_point_runs_nothing(capsys: pytest.CaptureFixture[str], runs_dir: Path) -> None:
    """All points are checked before the first one runs."""
    assert main(["run", "-m", *WORDS, "neuron.beta=0.5,1.5"]) == 2
    assert "neuron.beta=1.5" in capsys.readouterr().err
    assert not list(runs_dir.rglob("record.json"))


def test_cfg_shows_the_composed_configuration(capfd: pytest.CaptureFixture[str]) -> None:
    """Hydra's own flag works and runs nothing."""
    assert main(["run", "--cfg", "job", "surrogate=triangle"]) == 0
    assert "sgbench.surrogates.triangle.Triangle" in capfd.readouterr().out


def _own_surrogate(folder: Path) -> Path:
    """A user's surrogate in one Python file and one YAML file."""
    (folder / "my_surrogates.py").write_text(
        "from sgbench.surrogates.constant import Constant\n\n\n"
        "class Half(Constant):\n"
        "    def shape(self, u):\n"
        "        return 0.5 * super().shape(u)\n"
    )
    conf = folder / "my_conf" / "surrogate"
    conf.mkdir(parents=True)
    (conf / "half.yaml").write_text(
        "_target_: my_surrogates.Half\nnormalisation: raw\nscale: 1.0\nmeta:\n  line: Half of everything.\n"
    )
    return folder / "my_conf"


def test_an_entry_of_ones_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused until its exact class is allowed; then it runs like any other."""
    conf = _own_surrogate(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["run", *WORDS, f"--config-dir={conf}", "surrogate=half"]
    assert main(words) == 2
    assert "--allow-target my_surrogates.Half" in capfd.readouterr().err
    assert main([*words, "--allow-target=my_surrogates.Hal"]) == 2
    assert main([*words, "--allow-target", "my_surrogates.Half"]) == 0
    assert "half" in capfd.readouterr().out
    assert main(["list", "surrogate", "--config-dir", str(conf)]) == 0
    assert "Half of everything." in capfd.readouterr().out


def counted(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> list[dict[str, Any]]:
    """A list that grows by the named arguments of a function whenever it is called."""
    function = getattr(where, name)
    calls: list[dict[str, Any]] = []

    def count(*args: Any, **named: Any) -> Any:
        calls.append(named)
        return function(*args, **named)

    monkeypatch.setattr(where, name, count)
    return calls


def test_a_single_run_goes_round_once(every_merge_is_hydras: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra merges the words once, one network is built, no record is read and `sys.argv` stays."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    from sgbench.training import attempt, build, run_folder

    merges = counted(monkeypatch, ConfigLoaderImpl, "load_configuration")
    builds = counted(monkeypatch, build, "build_network")
    reads = counted(monkeypatch, run_folder, "read_model")
    collect = attempt.provenance.collect
    seen: list[list[str]] = []

    def look(*args: Any, **named: Any) -> Any:
        seen.append(list(sys.argv))
        return collect(*args, **named)

    monkeypatch.setattr(attempt.provenance, "collect", look)
    before = list(sys.argv)
    for number, words in enumerate([WORDS, (*WORDS, "force=true")], start=1):
        assert main(["run", *words]) == 0
        # The reference run, which the command compares with, is merged of words of its own.
        assert [set(WORDS) <= set(merge["overrides"]) for merge in merges].count(True) == number
        assert (len(builds), seen) == (number, [before] * number)
        assert number > 1 or not reads


def test_parts_built_before_a_run_change_nothing_of_it(runs_dir: Path) -> None:
    """Expected: the record of the command is that of the same spec, whose parts `run_spec` builds itself."""
    from sgbench.composition.compose import compose
    from sgbench.records.files import read_model
    from sgbench.records.record import RunRecord
    from sgbench.training.runner import run_spec
    from tests.run.tiny import comparable

    assert main(["run", *WORDS, "rule=eprop", "loss=per_step"]) == 0
    (path,) = runs_dir.rglob("record.json")
    words = [*WORDS, "rule=eprop", "loss=per_step", f"paths.runs_dir={runs_dir / 'other'}"]
    assert comparable(read_model(path, RunRecord)) == comparable(run_spec(compose(words)))


@pytest.mark.parametrize("words", [[], ["hydra/sweeper=basic", "hydra.sweeper.max_batch_size=1"]])
def test_a_job_of_a_sweep_takes_its_spec_from_the_plan(
    words: list[str], monkeypatch: pytest.MonkeyPatch, runs_dir: Path
) -> None:
    """No job composes, whether points come together or in batches, with words for Hydra among them."""

    def refuse(*_: Any, **__: Any) -> None:
        raise InputError("composed once more")

    monkeypatch.setattr("sgbench.composition.compose.spec_from_config", refuse)
    assert main(["run", "-m", *WORDS, "hydra.job.name=other", *words, "seed=0,1"]) == 0
    assert {path.parts[-2] for path in runs_dir.rglob("record.json")} == {"0", "1"}


@pytest.mark.parametrize("launcher", ["basic", "replicas"])
def test_a_sweeper_with_points_of_its_own(
    launcher: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, runs_dir: Path
) -> None:
    """Its job runs what the sweeper chose, not the planned point of that number; replicas refuse to run it."""

    def sweep(self: Any, arguments: list[str]) -> None:
        others = [word for word in arguments if not word.startswith("seed")]
        self.launcher.launch([[*others, "seed=5"]], initial_job_idx=0)

    loaded = Plugins.instance().class_name_to_class["hydra_plugins.sgbench_replicas.sweeper.PlannedSweeper"]
    monkeypatch.setattr(loaded, "sweep", sweep)
    words = ["run", "-m", *WORDS, f"hydra/launcher={launcher}", "seed=0,1"]
    code = main(words)
    told = capfd.readouterr()
    ran = [path.parts[-2] for path in runs_dir.rglob("record.json")]
    if launcher == "basic":
        assert (code, ran) == (1, ["5"])  # 1, for what was planned was not run
        assert "seed 5: test " in told.out
        assert "atan seed 0: no record" in told.err
    else:
        assert (code, ran) == (2, [])
        assert "use hydra/sweeper=planned" in told.err


@pytest.mark.slow
def test_a_sweep_in_other_processes(tmp_path: Path, runs_dir: Path) -> None:
    """The joblib launcher leaves the same records as one run alone, times apart."""
    from sgbench.composition.compose import compose
    from sgbench.records.files import read_model
    from sgbench.records.record import RunRecord
    from sgbench.training.runner import run_spec
    from tests.run.tiny import comparable

    environment = {**os.environ, "SGBENCH_RUNS": str(runs_dir)}
    words = [*WORDS, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1"]
    done = subprocess.run(
        [sys.executable, "-m", "sgbench", "run", "-m", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 2 runs finished" in done.stdout
    alone = run_spec(compose((*WORDS, "seed=1", f"paths.runs_dir={tmp_path / 'alone'}")))
    (path,) = runs_dir.rglob("1/record.json")
    assert comparable(read_model(path, RunRecord)) == comparable(alone)


def test_an_entry_that_shadows_a_shipped_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hydra and the catalogue could take different files of one name; nobody would see which."""
    folder = tmp_path / "conf" / "surrogate"
    folder.mkdir(parents=True)
    (folder / "atan.yaml").write_text("_target_: sgbench.surrogates.constant.Constant\n")
    assert main(["run", *WORDS, f"--config-dir={folder.parent}"]) == 2
    assert "rename yours" in capsys.readouterr().err
    assert main(["list", "surrogate", "--config-dir", str(folder.parent)]) == 2


def test_several_folders_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of both are there at once."""
    first = _own_surrogate(tmp_path)
    second = tmp_path / "more" / "init"
    second.mkdir(parents=True)
    (second / "small.yaml").write_text(
        "_target_: sgbench.inits.uniform.Uniform\ngain: 0.5\nrecurrent_gain: 1.0\nmeta:\n  line: Small.\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folders = [f"--config-dir={first}", f"--config-dir={second.parent}"]
    words = ["surrogate=half", "init=small", "--allow-target=my_surrogates.Half"]
    assert main(["run", *WORDS, *folders, *words]) == 0


def test_a_config_of_ones_own_cannot_allow_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An experiment that lists its own class, or a callback, is refused before anything is imported."""
    conf = _own_surrogate(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_surrogates", raising=False)
    (conf / "experiment").mkdir()
    body = "# @package _global_\ndefaults:\n  - override /surrogate: half\n"
    (conf / "experiment" / "sly.yaml").write_text(body + "allow_targets: [my_surrogates.Half]\n")
    (conf / "experiment" / "slier.yaml").write_text(
        "# @package _global_\nhydra:\n  callbacks:\n    x:\n      _target_: my_surrogates.Half\n"
    )
    for name in ("sly", "slier"):
        words = [word for word in WORDS if not word.startswith("experiment")]
        assert main(["run", *words, f"--config-dir={conf}", f"experiment={name}"]) == 2
        assert "my_surrogates" not in sys.modules
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.slow
def test_a_forced_sweep_that_could_not_write_says_so(
    capfd: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    """One run is held by somebody else: its old record does not count as done."""
    words = ["run", "-m", *WORDS, "seed=0,1"]
    assert main(words) == 0
    (folder,) = (path.parent for path in runs_dir.rglob("1/record.json"))
    with FileLock(folder / ".lock"):
        assert main([*words, "force=true"]) == 1
    captured = capfd.readouterr()
    assert "1 of 2 runs finished" in captured.out
    assert "was not repeated" in captured.err


def test_what_will_not_be_ranked_is_said_before_it_runs(capfd: pytest.CaptureFixture[str]) -> None:
    """The tiny run leaves its protocol; the reference run does not."""
    assert main(["run", *WORDS]) == 0
    out = capfd.readouterr().out
    assert "note: protocol." in out
    assert "not ranked on digits_v1" in out


def test_an_old_result_is_not_shown_as_a_new_one(capfd: pytest.CaptureFixture[str]) -> None:
    """Asked again, the command says that nothing ran, and how to repeat it."""
    assert main(["run", *WORDS]) == 0
    assert "already finished" not in capfd.readouterr().out
    assert main(["run", *WORDS]) == 0
    assert "already finished (20" in capfd.readouterr().out


def test_a_command_without_its_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """An override in the first place gets the command that was meant."""
    assert main(["surrogate=atan"]) == 2
    assert "did you mean: sgbench run surrogate=atan" in capsys.readouterr().err


def test_code_of_ones_own_is_not_a_clean_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No commit of sgbench says what a class from elsewhere was; one that changed does not get the old result.

    Must match: a class with another comment, whose run is not repeated.
    """
    import sgbench

    conf = _own_surrogate(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_surrogates", raising=False)
    monkeypatch.setattr("sgbench.training.provenance.git_state", lambda _: ("0" * 40, True))
    own = sgbench.run(*WORDS, "surrogate=half", config_dirs=[conf], allow_targets=["my_surrogates.Half"])
    assert own.provenance.clean is False
    assert sgbench.run(*WORDS).provenance.clean is True
    path = tmp_path / "my_surrogates.py"
    for old, new in (("class", "# mine\nclass"), ("0.5", "0.25")):
        path.write_text(path.read_text().replace(old, new))
        sys.modules.pop("my_surrogates")
        words = [*WORDS, "surrogate=half"]
        options: Any = {"config_dirs": [conf], "allow_targets": ["my_surrogates.Half"]}
        if old == "class":
            assert sgbench.run(*words, **options) == own
            continue
        with pytest.raises(InputError, match=r"surrogate=half has changed .* force=true"):
            sgbench.run(*words, **options)
