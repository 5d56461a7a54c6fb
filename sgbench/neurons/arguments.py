"""Meaning, unit and range of arguments that many neurons share; checked here and added to their docstrings."""

import inspect
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from sgbench.errors import require_number


class Argument(NamedTuple):
    """Describes an argument of a neuron: its meaning, its unit, and the lowest value allowed.

    >>> Argument("time step", "s", low=0.0, open_low=True).sentence
    'time step, above 0 [s].'
    """

    meaning: str
    unit: str = ""  # empty for text
    low: float = -math.inf
    open_low: bool = False  # whether `low` itself is refused

    @property
    def sentence(self) -> str:
        """Write meaning, range and unit as one line of a docstring."""
        least = "" if self.low == -math.inf else f", {'above' if self.open_low else 'at least'} {self.low:g}"
        return f"{self.meaning}{least}{self.unit and f' [{self.unit}]'}."


def _positive(meaning: str, unit: str) -> Argument:
    return Argument(meaning, unit, low=0.0, open_low=True)


ARGUMENTS = {
    "surrogate": Argument("spike forward, slope backward"),
    "features": Argument("number of neurons, needed for a value per neuron"),
    "beta": Argument("decay of the membrane per step, exp(-dt/tau_mem)", "1"),
    "alpha": Argument("decay of the synaptic current per step, exp(-dt/tau_syn)", "1"),
    "rho": Argument("decay of the adaptation per step, exp(-dt/tau_adapt)", "1"),
    "kappa": Argument("rise of the threshold per spike", "units of u"),
    "tau_mem_s": Argument("time constant of the membrane, above dt_s", "s"),
    "dt_s": _positive("time step", "s"),
    "period_s": Argument("absolute refractory period", "s", low=0.0),
    "omega_rad_s": Argument("angular frequency, or a pair for the first and the last neuron", "rad/s"),
    "resistance": _positive("membrane resistance R", "units of u per unit of current"),
    "sharpness": _positive("Delta, the rise of u that multiplies the exponential current by e", "units of u"),
    "rheobase": Argument("u_T, the potential at which the exponential current is Delta", "units of u"),
    "curvature": _positive("factor a_0 of the quadratic flow", "1 / units of u"),
    "critical": Argument("critical potential u_c, above which u grows without input", "units of u"),
    "threshold": Argument("firing threshold theta", "units of u"),
    "reset": Argument('"subtract", "subtract_decayed", "zero" or "none"; see `ResetPotential`'),
    "reset_to": Argument("potential that `zero` sets", "units of u"),
    "reset_gradient": Argument('"detached" or "attached"'),
    "input_gain": Argument('g: "one", "one_minus_beta" or "dt_over_tau"; see `InputGain`'),
    "generator": Argument('random generator of the initial weights, needed for "uniform"'),
}
"""Maps an argument's name to its meaning; a neuron's own docstring overrides it."""
LEARNT = Argument('"none", "shared" or "per_neuron"')
"""The choices of every argument `learn_NAME`: how many learnt values the number NAME has."""
AFTER_ARGUMENTS = ("Raises:", "Source:", ">>> ")
"""Beginnings of the lines that follow the arguments in a docstring."""


def require_argument(name: str, value: object) -> float:
    """Return the value of the shared argument `name` as a float.

    >>> require_argument("dt_s", 0.001)
    0.001
    """
    argument = ARGUMENTS[name]
    return require_number(f"neuron.{name}", value, low=argument.low, open_low=argument.open_low)


def with_arguments(docstring: str, names: Sequence[str]) -> str:
    r"""Complete the `Args:` section of a docstring with the shared descriptions of `ARGUMENTS`.

    Args:
        docstring: text to complete; the descriptions that it has are kept.
        names: all argument names, in order; one without any description is left out.

    >>> print(with_arguments("Leaks.\n\nArgs:\n    floor: lowest.\n\nSource: us.", ["dt_s", "floor"]))
    Leaks.
    <BLANKLINE>
    Args:
        dt_s: time step, above 0 [s].
        floor: lowest.
    <BLANKLINE>
    Source: us.
    """
    before, own, after = _split_at_arguments(inspect.cleandoc(docstring))
    lines = {name: own.pop(name, None) or _shared_line(name) for name in names}
    section = [line for line in (*lines.values(), *own.values()) if line]
    if not section:
        return docstring
    return "\n\n".join(part for part in (before, "\n".join(["Args:", *section]), after) if part)


def _shared_line(name: str) -> str | None:
    argument = ARGUMENTS.get(name, LEARNT if name.startswith("learn_") else None)
    return None if argument is None else f"    {name}: {argument.sentence}"


def _split_at_arguments(text: str) -> tuple[str, dict[str, str], str]:
    """Split a docstring: the text before `Args:`, each argument's lines by its name, the text after."""
    section = re.search(r"^Args:\n((?: .*\n?)+)", text, re.MULTILINE)
    if section is not None:
        entries = re.split(r"^(?=    \w+:)", section[1], flags=re.MULTILINE)[1:]
        own = {entry.split(":")[0].strip(): entry.rstrip("\n") for entry in entries}
        return text[: section.start()].rstrip(), own, text[section.end() :].lstrip("\n")
    lines = text.splitlines()
    end = next((index for index, line in enumerate(lines) if line.startswith(AFTER_ARGUMENTS)), len(lines))
    return "\n".join(lines[:end]).rstrip(), {}, "\n".join(lines[end:])
