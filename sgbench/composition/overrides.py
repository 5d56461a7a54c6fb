"""The overrides of a command, parsed once by Hydra's parser; what it cannot use is refused in one line."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from sgbench.errors import InputError, shortened
from sgbench.records.spec import Protocol

SHOWN = 100  # characters of an override in a message
LONGEST_KEY = 200  # characters
DEEPEST = 20  # brackets within brackets; the deepest value of the catalogue has two
MOST_LISTED = 5  # values of an override that are written one by one
MOST_KEPT = 4096  # texts whose parsed overrides are kept
MOST_DIGITS = 400  # digits; the largest float has 309
RESOLVERS = ("decay", "unless")
"""Functions that a reference in an override may call; files of the catalogue may call others too."""


OPTIONAL_KEYS = frozenset(f"protocol.{key}" for key in Protocol.LATER)
"""Keys that a protocol's file may leave out; Hydra refuses to override a key that no file has."""


@dataclass(frozen=True)
class Overrides:
    """Holds the overrides of a command or of one point of a sweep, parsed and checked, in the order given.

    A command line or a Python call makes one from its words; what merges files, plans a sweep or writes notes reads it.

    >>> typed = Overrides.of(["surrogate=atan", "surrogate.alpha=1,2", "seed=range(3)"])
    >>> [override.key_or_group for override in typed.swept], typed.single.texts, typed.count_points()
    (['surrogate.alpha', 'seed'], ['surrogate=atan'], 6)
    """

    parsed: tuple[Override, ...]

    @classmethod
    def of(cls, words: Words) -> Overrides:
        """Parse words of the form key=value; an InputError names the first that cannot be used."""
        if isinstance(words, Overrides):
            return words
        return cls(tuple(_parse_word(word) for word in words))

    def plus(self, words: Words) -> Overrides:
        """Return these overrides with others behind them, which win where both set a key."""
        return Overrides((*self.parsed, *Overrides.of(words).parsed))

    @property
    def texts(self) -> list[str]:
        """Return the overrides as they were typed."""
        return [override.input_line or "" for override in self.parsed]

    @property
    def settings(self) -> dict[str, str]:
        """Map each key, without Hydra's prefixes, to the text of its value."""
        pairs = (text.lstrip("+~").partition("=") for text in self.texts)
        return {key: value for key, _, value in pairs}

    @property
    def swept(self) -> tuple[Override, ...]:
        """Return the overrides that have several values."""
        return tuple(override for override in self.parsed if override.is_sweep_override())

    @property
    def single(self) -> Overrides:
        """Return the overrides that have one value."""
        return Overrides(tuple(override for override in self.parsed if not override.is_sweep_override()))

    @property
    def marked(self) -> Overrides:
        """Return the same with the prefix `++` at keys that a protocol's file may leave out, so that Hydra adds them.

        >>> Overrides.of(["protocol.draw=per_seed", "protocol.steps=10"]).marked.texts
        ['++protocol.draw=per_seed', 'protocol.steps=10']
        """
        return Overrides.of(f"++{text}" if text.partition("=")[0] in OPTIONAL_KEYS else text for text in self.texts)

    @property
    def without_hydra(self) -> Overrides:
        """Return the overrides that Hydra passes to a job: all but its own."""
        return Overrides(tuple(override for override in self.parsed if not override.is_hydra_override()))

    def split_choices(self, groups: Collection[str]) -> tuple[Overrides, Overrides]:
        """Return the overrides that choose files, by the names of all groups, and those that set values in them."""
        # Groups in other folders may have any name, so then every override may be a choice.
        adds_folders = any(override.key_or_group == "hydra.searchpath" for override in self.parsed)
        choices = [override for override in self.parsed if adds_folders or _chooses_file(override, groups)]
        values = [override for override in self.parsed if not (adds_folders or _chooses_file(override, groups))]
        return Overrides(tuple(choices)), Overrides(tuple(values))

    def first_values(self) -> Overrides:
        """Return one override for each key, with the first of its values."""
        return Overrides.of({override.get_key_element(): _first_value(override) for override in self.parsed}.values())

    def count_points(self) -> int:
        """Count the points of the grid without listing them; of two overrides of a key the later one counts.

        >>> Overrides.of(["seed=range(1e9)", "neuron=leaky,lif", "neuron@readout=li,leaky"]).count_points()
        4000000000
        """
        return math.prod({override.get_key_element(): _count_values(override) for override in self.parsed}.values())


Words = Overrides | Iterable[str]
"""What a function that users call takes: words as they are typed, or what was made of them."""


@lru_cache(MOST_KEPT)
def _parse_word(text: str) -> Override:
    """Parse and check an override; each text once, since the points of a sweep share most of theirs."""
    _require_readable(text)
    try:
        (override,) = OverridesParser.create().parse_overrides([text])
    except (HydraException, ValueError) as error:
        raise InputError(f"{_quoted(text)}: not of the form key=value: {_explain_form(text, error)}") from error
    _require_values(text, override)
    return override


def _chooses_file(override: Override, groups: Collection[str]) -> bool:
    """Return whether an override may choose a file, as those of Hydra and of a group do, rather than set a value."""
    key = override.key_or_group
    if key.split(".")[0] == "hydra":
        return True
    return ("/" in key or key in groups) and not isinstance(override.value(), dict)


def _first_value(override: Override) -> str:
    """Write an override with the first of its values, or with the start of an interval."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        return f"{override.get_key_element()}={value.start}"
    if override.is_sweep_override():
        return f"{override.get_key_element()}={next(override.sweep_string_iterator())}"
    return override.input_line or ""


def _explain_form(text: str, error: Exception) -> str:
    r"""Return a hint on how to write a text that Hydra's parser refused with `error`.

    >>> _explain_form("triangle", ValueError())
    'several values of a key stand behind it with commas, as in surrogate=atan,triangle'
    >>> _explain_form("surrogate.formula=1/(1+a*u)", ValueError())
    'a value with brackets or spaces stands in two pairs of quotes, as in "surrogate.formula=\'1/(1+a*u)\'"'
    """
    key, sign, value = text.partition("=")
    if not sign:
        return "several values of a key stand behind it with commas, as in surrogate=atan,triangle"
    if key and set(value) & set("() ") and not set(value) & set("\"'"):
        quoted = f"\"{key}='{value}'\""
        return f"a value with brackets or spaces stands in two pairs of quotes, as in {shortened(quoted, SHOWN)}"
    return f"{one_line(error)}; write key=value without spaces and quote special characters"


def _quoted(text: str) -> str:
    return f"'{shortened(text, SHOWN)}'"


def _require_readable(text: str) -> None:
    """Raise an InputError for long keys, deep brackets, long numbers, zero bytes and calls of other functions."""
    key, quoted = text.partition("=")[0], _quoted(text)
    if len(key) > LONGEST_KEY:
        raise InputError(f"{quoted}: a key has at most {LONGEST_KEY} characters; see: sgbench run --help")
    if "\0" in text:
        raise InputError(f"{quoted}: holds a zero byte, which no name and no file has; leave it out")
    if max(_depths(text), default=0) > DEEPEST:
        raise InputError(f"{quoted}: brackets are nested more than {DEEPEST} deep; leave some out")
    if re.search(rf"\d{{{MOST_DIGITS},}}", text):
        raise InputError(f"{quoted}: a number of {MOST_DIGITS} digits or more; write it as 1e9")
    for name in function_names(text.replace("\\", "")):  # the parsers drop backslashes
        if name not in RESOLVERS:
            raise InputError(
                f"{quoted}: ${{{name}:...}} is not for overrides, since no record would say what it was; "
                f"write the value itself"
            )


def _depths(text: str) -> Iterator[int]:
    """Yield the number of open brackets behind each character."""
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        yield depth


def function_names(text: str) -> Iterator[str]:
    """Yield the names of the functions that references `${name:...}` in a text call.

    A name reaches from `${` to the first colon that no inner bracket holds. References without a colon call none.

    >>> list(function_names("a=${oc.env:HOME},${.beta},${decay:${tau},1}")), list(function_names("a=${${b}.env:X}"))
    (['oc.env', 'decay'], ['${b}.env'])
    """
    for opened in re.finditer(r"\$\{", text):
        depth = 0
        for index in range(opened.end(), len(text)):
            depth += (text[index] == "{") - (text[index] == "}")
            if depth < 0:
                break
            if depth == 0 and text[index] == ":":
                yield text[opened.end() : index].strip()
                break


def _require_values(text: str, override: Override) -> None:
    """Raise an InputError for an override with glob(...), or with a range that has no end."""
    value, quoted = override.value(), _quoted(text)
    if isinstance(value, Glob):
        group = override.key_or_group.partition("@")[0]
        raise InputError(f"{quoted}: glob(...) is not read; write the names: {group}=a,b (sgbench list {group})")
    if isinstance(value, RangeSweep):
        start, stop, step = _start_stop_step(value)
        if step == 0 or not all(map(math.isfinite, (start, stop, step))):
            raise InputError(f"{quoted}: finite ends and a step other than 0 are needed; write e.g. range(0,10,2)")


def _start_stop_step(sweep: RangeSweep) -> tuple[float, float, float]:
    return sweep.start or 0, sweep.stop or 0, sweep.step or 0


def _count_values(override: Override) -> int:
    """Count the values of an override without listing them; 0 for an empty range.

    >>> [_count_values(override) for override in Overrides.of(["seed=range(1e9)", "seed=1,2", "seed=1"]).parsed]
    [1000000000, 2, 1]
    """
    value = override.value()
    if isinstance(value, RangeSweep):
        start, stop, step = _start_stop_step(value)
        return max(0, -int((start - stop) // step))
    return len(value.list) if isinstance(value, ChoiceSweep) else 1


def seed_override(seeds: Sequence[int]) -> str:
    """Write the override that names these seeds; six or more consecutive ones as a quoted range.

    >>> seed_override([200]), seed_override([0, 1, 7]), seed_override(range(200, 210))
    ('seed=200', 'seed=0,1,7', "'seed=range(200,210)'")
    """
    first, last = seeds[0], seeds[-1]
    if len(seeds) > MOST_LISTED and list(seeds) == list(range(first, last + 1)):
        return f"'seed=range({first},{last + 1})'"
    return f"seed={','.join(map(str, seeds))}"


def one_line(error: BaseException) -> str:
    """Return the message of a Hydra or OmegaConf exception on one line, or the class name if it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    internals = (
        "full_key:", "object_type=", "reference_type=", "See https://", "Set the environment", "Config search path",
        "provider=",
    )  # fmt: skip
    message = " ".join(" ".join(line for line in lines if not line.startswith(internals)).split())
    return message.removeprefix("InputError raised while resolving interpolation: ") or type(error).__name__
