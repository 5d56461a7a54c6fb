"""Lightning's callbacks that a run can have by name, for `trainer=lightning`."""

from pathlib import Path
from typing import Literal

from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint

Mode = Literal["min", "max"]


def early_stopping(*, monitor: str, mode: Mode, patience: int, min_delta: float) -> EarlyStopping:
    """Create Lightning's early stopping after `patience` epochs without a better value of the number `monitor`."""
    return EarlyStopping(monitor, mode=mode, patience=patience, min_delta=min_delta)


def checkpoint(run_dir: Path, *, monitor: str, mode: Mode, save_top_k: int) -> ModelCheckpoint:
    """Create Lightning's checkpoints of the best epochs by `monitor`, in RUN/checkpoints."""
    return ModelCheckpoint(run_dir / "checkpoints", monitor=monitor, mode=mode, save_top_k=save_top_k)


def learning_rate_monitor(*, logging_interval: Literal["step", "epoch"]) -> LearningRateMonitor:
    """Create Lightning's monitor of the learning rate, for the run's loggers."""
    return LearningRateMonitor(logging_interval=logging_interval)
