"""`sgbench run` with wrong words: one line that names the thing and the remedy, exit code 2, and nothing stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgbench.cli.main import main
from tests.messages import lines_naming
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
    ("+hydra.job_logging.handlers.x.class=os.getcwd", "hydra.job_logging: may name a class"),
    ("+allow_targets=[os.system]", "key 'allow_targets' is not known"),
    ("rule.window=0", "rule.window=0"),
    ("loss=spike_count", "use neuron@readout=leaky"),
    ("neuron._target_=os.system", "cannot be replaced"),
    ("neuron._target_=sgbench.neurons.synaptic.Synaptic", "cannot be replaced"),
    ("+neuron._args_=[1]", "neuron._args_"),
    ("encoder.max_rate_hz=1", "encoder.max_rate_hz"),
    ("surrogate=[", "not of the form key=value"),
    ("atan", "with commas, as in surrogate=atan,triangle"),
    ("expriment=digits", "did you mean 'experiment'"),
    ("surrogate.formula=1/(1+a*u)", "as in \"surrogate.formula='1/(1+a*u)'\""),
    ("paths.runs_dir=/proc/nowhere", "cannot be written"),
    ("--dry-run", "to count the runs without starting them: sgbench sweep status experiment=digits"),
    ("--config-dir=/nowhere", "no such folder"),
]


@pytest.mark.one_in(6)
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


def test_a_command_without_its_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """An override in the first place gets the command that was meant."""
    assert main(["surrogate=atan"]) == 2
    assert lines_naming(capsys.readouterr().err, "sgbench run surrogate=atan")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("recomend", "did you mean 'recommend'"),
        ("quickstart", "did you mean: sgbench sweep quickstart"),
        ("benchmark", "in Python it is sgbench.benchmark"),
        ("frobnicate", "24 are known: sgbench --help"),
        ("../conf", "24 are known: sgbench --help"),
    ],
)
def test_no_such_command_names_the_nearest(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command, a shipped sweep or a function of that name; must differ: a name like no other gets no list."""
    assert main([name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
