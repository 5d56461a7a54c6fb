"""How the gradient flows through the layers and steps of a network that trains."""

import pytorch_lightning as pl

from sgbench.callbacks.recorded import RecordedBatches
from sgbench.diagnosis.modules import ModuleRecorder
from sgbench.records.diagnosis import Diagnosis


class GradientFlow(RecordedBatches):
    r"""Logs the gradient's norm and growth and the passing steps of each spiking layer, every n batches.

    For the currents :math:`I_l[t]` of layer l, `gradient_norm/LAYER` is
    :math:`(\sum_t |\partial L / \partial I_l[t]|^2)^{1/2}`, `gradient_growth/LAYER` the slope of
    :math:`\ln |\partial L / \partial I_l[t]|` over steps back in time [1/step], `gradient_reach/LAYER` the share of
    neurons and steps with a gradient, and `passing_steps/LAYER` the mean over neurons and samples of
    :math:`\sum_t \psi(u[t] - \theta)`: over how many steps a recurrent weight would pass the gradient on with slope 1.
    Numbers that are not finite or do not exist are left out.

    Args:
        every_n_steps: how many batches from one recorded batch to the next; the first batch is recorded.

    Raises:
        InputError: when fitting begins, if the module has no spiking layers; `every_n_steps` is no positive integer.

    >>> GradientFlow(every_n_steps=100).picture
    'gradient_flow'
    """

    picture = "gradient_flow"

    def receive(self, trainer: pl.Trainer, recorder: ModuleRecorder, diagnosis: Diagnosis, *, scale: float) -> None:
        """Log the numbers of each layer."""
        numbers: dict[str, float | None] = {}
        for layer in diagnosis.layers:
            norm = layer.grad_norm
            numbers[f"gradient_norm/{layer.name}"] = None if norm is None else norm / scale
            numbers[f"gradient_growth/{layer.name}"] = layer.log_slope_per_step
            numbers[f"gradient_reach/{layer.name}"] = layer.nonzero_points
        numbers |= {f"passing_steps/{name}": steps for name, steps in recorder.passing_steps().items()}
        self.add(trainer, {name: number for name, number in numbers.items() if number is not None})
