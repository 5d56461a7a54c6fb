"""Records the forward and backward pass of single training batches, as training runs them."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from sgbench.callbacks.curves import Curves, require_spiking_layers
from sgbench.diagnosis.modules import ModuleRecorder
from sgbench.errors import InputError, require_count
from sgbench.records.diagnosis import Diagnosis


class RecordedBatches(Curves):
    """Diagnoses every n-th training batch from its own forward and backward pass; training is not changed.

    Several of these callbacks share one recording of a batch. Each process records its own share of a batch, and
    that of the first is logged.

    Args:
        every_n_steps: how many batches from one recorded batch to the next; the first batch is recorded.
    """

    def __init__(self, *, every_n_steps: int = 50) -> None:
        super().__init__()
        require_count("every_n_steps", every_n_steps)
        self.every_n_steps = every_n_steps
        self.batches = 0  # trained on so far
        self._recorder: ModuleRecorder | None = None
        self._recording = contextlib.ExitStack()
        self._loss: Tensor | None = None

    def receive(self, trainer: pl.Trainer, recorder: ModuleRecorder, diagnosis: Diagnosis, *, scale: float) -> None:
        """Take a batch's diagnosis; `scale`: by which mixed precision has multiplied its gradients."""
        raise NotImplementedError

    @property
    def is_due(self) -> bool:
        """Return whether the present batch is to be recorded."""
        return self.batches % self.every_n_steps == 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that there is something to record."""
        require_spiking_layers(pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin to record, unless another callback does."""
        if self.is_due and all(callback._recorder is None for callback in _all_of(trainer)):
            self._recorder = ModuleRecorder(pl_module)
            self._recording.enter_context(self._recorder.one_batch())

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Note the loss."""
        if self._recorder is not None and self._loss is None:
            self._loss = loss.detach() * trainer.accumulate_grad_batches
            self._recorder.before_backward()

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Diagnose what was recorded, and hand it to all callbacks that wait for it."""
        if self._recorder is None or self._loss is None:
            return
        recorder, loss = self._recorder, self._loss.item()
        self._stop()
        # With mixed precision Lightning scales loss and gradients, so that small gradients do not become 0.
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        scale = 1.0 if scaler is None else float(scaler.get_scale())
        diagnosis = recorder.diagnosis(loss / scale)
        for callback in _all_of(trainer):
            if callback.is_due:
                callback.receive(trainer, recorder, diagnosis, scale=scale)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch; an InputError if it was to be recorded and nothing was propagated back."""
        self.batches += 1
        if self._recorder is not None:
            self._stop()
            raise InputError(
                f"{type(self).__name__}: Lightning propagated nothing back; call manual_backward, or in a run of "
                f"sgbench take trainer.diagnose=[flow,activity]"
            )

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop recording."""
        self._stop()

    def _stop(self) -> None:
        self._recorder = self._loss = None
        self._recording.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the curves and the count of batches, for a checkpoint."""
        return {**super().state_dict(), "batches": self.batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore both from a checkpoint."""
        super().load_state_dict(state_dict)
        self.batches = state_dict["batches"]


def _all_of(trainer: pl.Trainer) -> Iterator[RecordedBatches]:
    """Yield the callbacks of a Trainer that share recordings."""
    return (callback for callback in trainer.callbacks if isinstance(callback, RecordedBatches))  # type: ignore[attr-defined]
