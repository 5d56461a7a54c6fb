"""Runs that Lightning's Trainer drives: the default loop's numbers, a user's callbacks and arguments."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import pytorch_lightning as pl
import yaml

import sgbench
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.paths import conf_dir
from sgbench.training.lightning import LightningRun
from sgbench.training.run_folder import folder_of
from tests.messages import lines_naming, raises_naming
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
    assert driven.provenance.clean == plain.provenance.clean


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
    assert record.provenance.clean is False


@pytest.mark.slow
def test_a_precision_that_only_torch_computes_takes_the_torch_engine() -> None:
    """Said in the record; must differ: the numbers, which are coarser."""
    coarse = sgbench.run(*WORDS, LIGHTNING, "trainer.precision=bf16-mixed")
    fine = sgbench.run(*WORDS, "engine=reference", "force=true")
    assert coarse.status == "finished", coarse.failure
    assert (coarse.provenance.engine, coarse.provenance.clean) == ("reference", False)
    assert coarse.curve[-1].train_loss == pytest.approx(fine.curve[-1].train_loss, rel=0.05)
    assert coarse.curve != fine.curve


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("trainer.gradient_clip_val=1", "clip_norm"),
        ("trainer.accumulate_grad_batches=2", "protocol.accumulated_batches"),
        ("trainer.strategy=ddp_spawn", "trainer.devices=N"),
        ("trainer.limit_test_batches=1", "leave it out"),
        ("trainer.max_epochs=3", "protocol.epochs"),
    ],
)
def test_what_has_another_place_here_is_named(word: str, remedy: str) -> None:
    """Expected: the argument as typed, and what to type in its place; nothing is trained."""
    with raises_naming(InputError, word, remedy):
        sgbench.run(*WORDS, LIGHTNING, word)


def test_callbacks_need_lightning() -> None:
    """Expected: one line with the word to add."""
    with raises_naming(InputError, "callback=early_stopping", "trainer=lightning"):
        sgbench.run(*WORDS, "callback=early_stopping")


class Peeking(pl.Callback):
    """Looks at the test split after an epoch of training."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _ = trainer.datamodule.test_dataloader()


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
