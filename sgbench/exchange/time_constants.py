r"""Converts decays per step to time constants of a differential equation, and back.

NIR states :math:`\tau \dot v = -v + R I` and leaves the step to the simulator. Of two usual steps of length dt,

.. math::
    \text{euler: } & v \leftarrow (1 - dt/\tau) v + (dt/\tau) R I \\
    \text{exponential: } & v \leftarrow e^{-dt/\tau} v + (1 - e^{-dt/\tau}) R I

the first is what snnTorch, Norse and NIR's own examples do.
"""

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError, require_choice

Numbers = NDArray[np.float64]
STEPS = ("euler", "exponential")


def time_constant(decay: Numbers, dt_s: float, step: str) -> Numbers:
    """Convert decays per step in [0, 1) to time constants tau [s] for a step of "euler" or "exponential".

    >>> time_constant(np.array([0.9]), 0.001, "euler").round(6).tolist()
    [0.01]
    """
    if require_choice("step", step, STEPS) == "euler":
        return dt_s / (1 - decay)
    if (decay <= 0).any():
        raise InputError("step=exponential: a decay of 0 per step has no time constant; use step=euler")
    return -dt_s / np.log(decay)


def decay_per_step(tau_s: Numbers, dt_s: float, step: str) -> Numbers:
    """Convert time constants [s] to decays per step in [0, 1) for a step of "euler" or "exponential".

    >>> decay_per_step(np.array([0.01]), 0.001, "euler").tolist()
    [0.9]
    """
    if not (tau_s > 0).all():
        raise InputError("a time constant above 0 is needed")
    if require_choice("step", step, STEPS) == "exponential":
        return np.exp(-dt_s / tau_s)
    if (tau_s < dt_s).any():
        raise InputError(
            f"a time constant of {tau_s.min():g} s is shorter than the time step of {dt_s:g} s; use a shorter step"
        )
    return 1 - dt_s / tau_s
