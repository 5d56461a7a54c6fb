"""Runs that Lightning's Trainer drives: the default loop's numbers, a user's callbacks and arguments."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import pytorch_lightning as pl
import yaml
from pytorch_lightning.profilers import Profiler

import sgbench
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References, deviation
from sgbench.paths import conf_dir
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.training.lightning import LightningRun
from sgbench.training.run_folder import folder_of
from tests.messages import lines_naming, raises_naming
from tests.rooms import ROOT
from tests.run.tiny import WORDS, comparable

LIGHTNING = "trainer=lightning"


@pytest.mark.parametrize(
    "recipe",
    [
        (),
        pytest.param(("protocol.accumulated_batches=2", "schedule=cosine"), marks=pytest.mark.slow),
        pytest.param(("optimizer=sam", "normalisation=batch_norm"), marks=pytest.mark.slow),
        pytest.param(("encoder=poisson", "dropout=shared_mask"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_the_numbers_are_those_of_the_default_loop(recipe: tuple[str, ...]) -> None:
    """Must match: the whole record but for times, to the bit; and the method's id."""
    plain = sgbench.run(*WORDS, *recipe)
    driven = sgbench.run(*WORDS, *recipe, LIGHTNING, "force=true")
    assert driven.status == "finished", driven.failure
    assert comparable(driven) == comparable(plain)
    assert driven.weights_sha256 == plain.weights_sha256
    assert driven.provenance.trainer is None


def test_every_argument_of_the_trainer_is_known() -> None:
    """Expected: Lightning's signature, less what a run decides; null, so that Lightning's defaults hold."""
    tree = yaml.safe_load((conf_dir() / "trainer" / "lightning.yaml").read_text())
    keys = set(tree) - {"defaults", "driver", "meta"}
    decided = {
        "self", "accelerator", "callbacks", "default_root_dir", "devices", "enable_autolog_hparams",
        "enable_checkpointing", "enable_model_summary", "enable_progress_bar", "inference_mode",
        "limit_predict_batches", "log_every_n_steps", "logger", "model_registry", "num_sanity_val_steps",
        "reload_dataloaders_every_n_epochs", "sync_batchnorm",
    }  # fmt: skip
    assert keys == set(inspect.signature(pl.Trainer.__init__).parameters) - decided
    assert {tree[key] for key in keys} == {None}


@pytest.mark.slow
def test_public_callbacks_do_what_they_say() -> None:
    """Early stopping ends after as many epochs as its patience allows; a checkpoint; the rate is logged."""
    words = (
        *WORDS, LIGHTNING, "callback=[early_stopping,checkpoint,learning_rate_monitor]", "logger=csv",
        "callback.early_stopping.patience=1", "callback.early_stopping.min_delta=10", "protocol.epochs=5",
    )  # fmt: skip
    record = sgbench.run(*words)
    assert record.status == "finished", record.failure
    assert len(record.curve) == 2
    folder = folder_of(compose(words))
    assert len(list(folder.rglob("*.ckpt"))) == 1
    assert "lr-Adam" in (folder / "csv" / "metrics.csv").read_text().splitlines()[0]
    assert record.provenance.trainer is not None
    assert record.provenance.trainer["callback.learning_rate_monitor"] == "logging_interval=step"
    with raises_naming(InputError, "callback.checkpoint", "force=true"):
        sgbench.run(*words[:6], LIGHTNING, "protocol.epochs=5")


def test_no_board_ranks_what_a_trainer_was_given() -> None:
    """Must differ: a record of a board as it is; the same with a callback, which is named."""
    record = read_model(next((ROOT / "leaderboards/digits_v1/records").rglob("*.json")), RunRecord)
    reference = References().of(record.protocol)
    assert deviation(record, reference) is None
    provenance = record.provenance.model_copy(update={"trainer": {"callback.mine": "default"}})
    driven = record.model_copy(update={"provenance": provenance})
    assert "callback.mine" in str(deviation(driven, reference))
    assert RunRecord.model_validate_json(driven.model_dump_json()).provenance.trainer == {"callback.mine": "default"}


@pytest.mark.slow
def test_a_precision_that_only_torch_computes_takes_the_torch_engine() -> None:
    """Said in the record; must differ: the numbers, which are coarser."""
    coarse = sgbench.run(*WORDS, LIGHTNING, "trainer.precision=bf16-mixed")
    fine = sgbench.run(*WORDS, "engine=reference", "force=true")
    assert coarse.status == "finished", coarse.failure
    assert (coarse.provenance.engine, coarse.provenance.trainer) == ("reference", {"trainer.precision": "bf16-mixed"})
    assert "bf16-mixed" in coarse.provenance.engine_reason
    assert coarse.curve[-1].train_loss == pytest.approx(fine.curve[-1].train_loss, rel=0.05)
    assert coarse.curve != fine.curve


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "epochs"),
    [
        (("fast_dev_run=true",), 1),
        (("limit_val_batches=1", "limit_test_batches=0.5"), 3),
        (("overfit_batches=2",), 3),
        (("max_steps=7",), 1),
        (("min_epochs=2", "max_time=00:01:00:00", "deterministic=true", "detect_anomaly=true"), 3),
        (("profiler=simple", "strategy=single_device", "benchmark=false"), 3),
        (("barebones=true",), 3),
    ],
    ids=str,
)
def test_arguments_of_the_trainer_are_handed_on(words: tuple[str, ...], epochs: int) -> None:
    """Expected: so many validated epochs, a whole record of them, and in it what was asked for."""
    record = sgbench.run(*WORDS, LIGHTNING, *(f"trainer.{word}" for word in words))
    assert record.status == "finished", record.failure
    assert len(record.curve) == epochs
    given = record.provenance.trainer or {}
    assert {f"trainer.{word.partition('=')[0]}" for word in words} == set(given)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (("clip_norm=0.01",), ("trainer.gradient_clip_val=0.01",)),
        (("trainer.devices=2",), ("trainer.devices=2",)),
        (("protocol.precision=float64",), ("protocol.precision=float64", "trainer.precision=64")),
    ],
    ids=str,
)
def test_what_both_have_is_the_same(plain: tuple[str, ...], words: tuple[str, ...]) -> None:
    """Must match, to the bit: the weights of our loop and of Lightning's; must differ: those without."""
    ours, theirs = sgbench.run(*WORDS, *plain), sgbench.run(*WORDS, LIGHTNING, *words, "force=true")
    assert ours.weights_sha256 == theirs.weights_sha256
    assert ours.weights_sha256 != sgbench.run(*WORDS, "force=true").weights_sha256


class Counting(Profiler):
    """Notes what begins."""

    def __init__(self, *, kind: str) -> None:
        super().__init__()
        self.began: list[str] = []
        MADE.append(self)

    def start(self, action_name: str) -> None:
        self.began.append(action_name)

    def stop(self, action_name: str) -> None:
        pass


MADE: list[Counting] = []


@pytest.mark.slow
def test_a_profiler_and_a_plugin_of_a_users_own(tmp_path: Path) -> None:
    """By `_target_`, as a callback is; by hand, two batches of validation in each of three epochs."""
    (tmp_path / "callback").mkdir()
    target = f"{__name__}.Counting"
    (tmp_path / "callback" / "c.yaml").write_text(f"# @package callback.c\n_target_: {target}\nkind: plain\n")
    plugin = "lightning_fabric.plugins.io.TorchCheckpointIO"
    (tmp_path / "callback" / "io.yaml").write_text(f"# @package callback.io\n_target_: {plugin}\n")
    words = (*WORDS, LIGHTNING, "callback=[c,io]")
    record = sgbench.run(*words, config_dirs=[tmp_path], allow_targets=[target, plugin])
    assert record.status == "finished", record.failure
    assert sum("validation_step" in action for action in MADE[-1].began) == 3 * 2
    assert record.provenance.trainer == {"callback.c": "kind=plain", "callback.io": "default"}


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("trainer.accumulate_grad_batches=2", "protocol.accumulated_batches"),
        ("trainer.max_epochs=3", "protocol.epochs"),
        ("trainer.val_check_interval=2", "leave it out"),
        ("trainer.precision=64", "protocol.precision=float64"),
        ("trainer.precision=16-mixed", "bf16-mixed"),
    ],
)
def test_what_has_another_place_here_is_named(word: str, remedy: str) -> None:
    """Expected: the argument as typed, and what to type in its place; nothing is trained."""
    with raises_naming(InputError, word, remedy):
        sgbench.run(*WORDS, LIGHTNING, word)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("trainer.strategy=ddp_spawn",), "trainer.devices=N"),
        (("trainer.devices=2", "trainer.max_steps=3"), "trainer.devices=1"),
        (("trainer.profiler=nonsense",), "simple"),
        (("trainer.gradient_clip_val=1", "trainer.gradient_clip_algorithm=v"), "norm, value"),
    ],
)
def test_what_the_trainer_refuses_is_one_line(words: tuple[str, ...], named: str) -> None:
    """Expected: the argument, and what there is."""
    with raises_naming(InputError, words[-1].partition("=")[0].partition(".")[2], named):
        sgbench.run(*WORDS, LIGHTNING, *words)


def test_callbacks_need_lightning() -> None:
    """Expected: one line with the word to add."""
    with raises_naming(InputError, "callback=early_stopping", "trainer=lightning"):
        sgbench.run(*WORDS, "callback=early_stopping")


class Peeking(pl.Callback):
    """Looks at the test split after an epoch of training."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _ = pl_module.test_dataloader()


@pytest.mark.slow
def test_a_callback_of_a_users_own_cannot_look_at_the_test_split(tmp_path: Path) -> None:
    """By `_target_` and --allow-target; must differ: without the flag it is refused by name."""
    (tmp_path / "callback").mkdir()
    target = f"{__name__}.Peeking"
    (tmp_path / "callback" / "peeking.yaml").write_text(f"# @package callback.peeking\n_target_: {target}\n")
    words = (*WORDS, LIGHTNING, "callback=peeking")
    with raises_naming(InputError, target, "--allow-target"):
        sgbench.run(*words, config_dirs=[tmp_path])
    with raises_naming(InputError, "test split", "closed"):
        sgbench.run(*words, config_dirs=[tmp_path], allow_targets=[target])


@pytest.mark.slow
def test_an_interrupted_run_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Interrupted after the first epoch: curves, scores and weights are those of an undisturbed run."""
    words = (*WORDS, LIGHTNING, "protocol.epochs=3")
    undisturbed = sgbench.run(*words)
    save = LightningRun.save_checkpoint

    def save_and_stop(self: LightningRun, name: str, content: dict) -> None:
        save(self, name, content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LightningRun, "save_checkpoint", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            sgbench.run(*words, "force=true")
    (folder_of(compose(words)) / "record.json").unlink()
    continued = sgbench.run(*words)
    assert continued.timing.resumed == 1
    assert comparable(continued) == comparable(undisturbed)
    assert not lines_naming(caplog.text, "anew")
