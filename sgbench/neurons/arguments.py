"""What arguments mean that many neurons have: said here once, checked here, and written into each docstring."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from sgbench.errors import require_number


class Argument(NamedTuple):
    """Says what an argument means, in which unit, and from where on its values are allowed.

    >>> Argument("time step", "s", low=0.0, open_low=True).sentence
    'time step, above 0 [s].'
    """

    meaning: str
    unit: str = ""
    low: float = -math.inf
    open_low: bool = False

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
    "omega_rad_s": Argument("angular frequency, a number or a pair, first and last", "rad/s"),
    "resistance": _positive("R", "units of u per unit of current"),
    "sharpness": _positive("Delta, over which the spike takes off", "units of u"),
    "rheobase": Argument("u_T, from which it takes off", "units of u"),
    "curvature": _positive("a_0", "1 / units of u"),
    "critical": Argument("u_c", "units of u"),
    "threshold": Argument("firing threshold theta", "units of u"),
    "reset": Argument('"subtract", "subtract_decayed", "zero" or "none"; see `ResetPotential`'),
    "reset_to": Argument("potential that `zero` sets", "units of u"),
    "reset_gradient": Argument('"detached" or "attached"'),
    "input_gain": Argument('g: "one", "one_minus_beta" or "dt_over_tau"; see `InputGain`'),
    "generator": Argument('of the initial weights, needed for "uniform"'),
}
"""By name; a neuron that means something else by a name says so in its own docstring."""
LEARNT = Argument('"none", "shared" or "per_neuron"')
"""What `learn_` before the name of a number means."""
BEHIND = ("Raises:", "Source:", ">>> ")
"""What comes after the arguments in a docstring."""


def require_argument(name: str, value: object) -> float:
    """Return the value as a float, or raise an `InputError` where it is outside of the range of the table.

    >>> require_argument("dt_s", 0.001)
    0.001
    """
    argument = ARGUMENTS[name]
    return require_number(f"neuron.{name}", value, low=argument.low, open_low=argument.open_low)


def with_arguments(docstring: str, names: Sequence[str]) -> str:
    r"""Complete the `Args:` of a docstring, in the order of the names, by what the table says of them.

    Args:
        docstring: whose own words for an argument stand.
        names: of all arguments; one that neither explains is left out.

    >>> print(with_arguments("Leaks.\n\nArgs:\n    floor: lowest.\n\nSource: us.", ["dt_s", "floor"]))
    Leaks.
    <BLANKLINE>
    Args:
        dt_s: time step, above 0 [s].
        floor: lowest.
    <BLANKLINE>
    Source: us.
    """
    before, own, behind = _parts(inspect.cleandoc(docstring))
    lines = {name: own.pop(name, None) or _shared_line(name) for name in names}
    section = [line for line in (*lines.values(), *own.values()) if line]
    if not section:
        return docstring
    return "\n\n".join(part for part in (before, "\n".join(["Args:", *section]), behind) if part)


def _shared_line(name: str) -> str | None:
    argument = ARGUMENTS.get(name, LEARNT if name.startswith("learn_") else None)
    return None if argument is None else f"    {name}: {argument.sentence}"


def _parts(text: str) -> tuple[str, dict[str, str], str]:
    """Split a docstring into what comes before its arguments, each argument's lines, and what comes after."""
    section = re.search(r"^Args:\n((?: .*\n?)+)", text, re.MULTILINE)
    if section is not None:
        entries = re.split(r"^(?=    \w+:)", section[1], flags=re.MULTILINE)[1:]
        own = {entry.split(":")[0].strip(): entry.rstrip("\n") for entry in entries}
        return text[: section.start()].rstrip(), own, text[section.end() :].lstrip("\n")
    lines = text.splitlines()
    behind = next((index for index, line in enumerate(lines) if line.startswith(BEHIND)), len(lines))
    return "\n".join(lines[:behind]).rstrip(), {}, "\n".join(lines[behind:])
