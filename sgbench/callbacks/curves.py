"""Numbers by training step, which go to each of the Trainer's loggers as curves and, at the end, as one picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import nn

from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.networks.watching import spiking_modules
from sgbench.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Curves(pl.Callback):
    """Holds curves by their names, "QUANTITY/LAYER"; checkpoints keep them."""

    picture: ClassVar[str] = ""  # its name at the loggers, and of its file

    def __init__(self) -> None:
        self.curves: dict[str, list[tuple[int, float]]] = {}  # by name: optimiser steps done, and the number then

    def add(self, trainer: pl.Trainer, numbers: Mapping[str, float]) -> None:
        """Append numbers at the present step; loggers and `trainer.callback_metrics` get them as well."""
        for name, number in numbers.items():
            self.curves.setdefault(name, []).append((trainer.global_step, number))
        trainer.callback_metrics.update({name: torch.tensor(number) for name, number in numbers.items()})
        for logger in trainer.loggers:
            logger.log_metrics(dict(numbers), step=trainer.global_step)

    def plot(self) -> Figure:
        """Draw a panel for each quantity with a line for each layer; return the matplotlib figure.

        Raises:
            InputError: there is no number yet.
        """
        from matplotlib.figure import Figure

        if not self.curves:
            raise InputError(
                f"{type(self).__name__}: nothing to draw before a step has been measured in this process; the "
                f"processes of a strategy send their pictures to the loggers"
            )
        quantities = list(dict.fromkeys(name.partition("/")[0] for name in self.curves))
        figure = Figure(figsize=(9.0, 2.6 * len(quantities)), layout="constrained")
        for quantity, (panel,) in zip(quantities, figure.subplots(len(quantities), 1, squeeze=False), strict=True):
            lines = {name: curve for name, curve in self.curves.items() if name.partition("/")[0] == quantity}
            for number, (name, curve) in enumerate(lines.items()):
                colour, label = style.COLOURS[number % len(style.COLOURS)], name.partition("/")[2]
                panel.plot(*zip(*curve, strict=True), color=colour, marker="o", markersize=3, label=label)
            panel.set(xlabel="optimiser steps", ylabel=quantity.replace("_", " "))
            if any("/" in name for name in lines):
                panel.legend(frameon=False, fontsize=9)
        return figure

    def state_dict(self) -> dict[str, Any]:
        """Return the curves so far, for a checkpoint."""
        return {"curves": {name: [list(point) for point in curve] for name, curve in self.curves.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the curves from a checkpoint."""
        self.curves = {name: [(step, number) for step, number in curve] for name, curve in state_dict["curves"].items()}

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the picture to each logger: as an image, or as a file in the folder of loggers that take none."""
        if trainer.is_global_zero and self.curves and trainer.loggers:
            png = style.encode(self.plot, ".png")
            for logger in trainer.loggers:
                send_picture(logger, self.picture, png, trainer.global_step)


def send_picture(logger: Any, name: str, png: bytes, step: int) -> None:
    """Send a picture to Weights & Biases, TensorBoard or MLflow, or write NAME.png where a logger has its files."""
    import numpy as np
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    experiment: Any = getattr(logger, "experiment", None)
    if hasattr(logger, "log_image"):
        logger.log_image(name, [image])
    elif hasattr(experiment, "add_image"):
        experiment.add_image(name, np.asarray(image), step, dataformats="HWC")
    elif hasattr(experiment, "log_image") and hasattr(logger, "run_id"):
        experiment.log_image(logger.run_id, image, artifact_file=f"{name}.png")
    elif folder := getattr(logger, "log_dir", None) or logger.save_dir:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(png)


def require_spiking_layers(pl_module: nn.Module) -> None:
    """Raise an InputError if a module has no spiking layers, or runs them by loops that show no single step."""
    if not any(True for _ in spiking_modules(pl_module)):
        raise InputError(
            f"{type(pl_module).__name__} has no layer of snnTorch's spiking neurons or ours; keep modules such as "
            f"snn.Leaky as its attributes"
        )
    for module in pl_module.modules():
        if isinstance(module, Network) and module.engine.requested != "reference":
            raise InputError(f"engine={module.engine.requested}: shows callbacks no single steps; use engine=reference")
