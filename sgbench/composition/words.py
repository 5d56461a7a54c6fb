"""Reading single words of a command line: each is an override of Hydra's, or is refused in one line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, RangeSweep
from hydra.errors import HydraException

from sgbench.errors import InputError, shortened
from sgbench.records.spec import Protocol

SHOWN = 100  # characters of a word in a message
LONGEST_KEY = 200
DEEPEST = 20  # brackets within brackets; the deepest value of the catalogue has two
MOST_LISTED = 5  # values of a word that are written one by one
LONGEST_NUMBER = 400  # digits; the largest float has 309
RESOLVERS = ("decay", "unless")
"""What a reference in a word may call; the files of the catalogue may ask for more."""
LEFT_OUT = frozenset(f"protocol.{key}" for key in Protocol.LATER)
"""Keys that a protocol's file may leave out, so that Hydra does not know them."""


def with_left_out(words: Sequence[str]) -> list[str]:
    """Write words that set a key which the protocol's file may leave out as Hydra takes them.

    >>> with_left_out(["protocol.draw=per_seed", "protocol.steps=10"])
    ['++protocol.draw=per_seed', 'protocol.steps=10']
    """
    return [f"++{word}" if word.partition("=")[0] in LEFT_OUT else word for word in words]


def parse_overrides(words: Sequence[str]) -> list[Override]:
    """Parse each word as an override of Hydra.

    Raises:
        InputError: names the word that is not an override, or that no value can be meant by.
    """
    parsed = []
    for word in words:
        _require_readable(word)
        try:
            (override,) = OverridesParser.create().parse_overrides([word])
        except (HydraException, ValueError) as error:
            raise InputError(
                f"{_quoted(word)}: not of the form key=value: {_as_needed(word, error)}"
            ) from error
        _require_values(word, override)
        parsed.append(override)
    return parsed


def _as_needed(word: str, error: Exception) -> str:
    r"""Say how a word that is not an override is to be written.

    >>> _as_needed("triangle", ValueError())
    'several values of a key stand behind it with commas, as in surrogate=atan,triangle'
    >>> _as_needed("surrogate.formula=1/(1+a*u)", ValueError())
    'a value with brackets or spaces stands in two pairs of quotes, as in "surrogate.formula=\'1/(1+a*u)\'"'
    """
    key, sign, value = word.partition("=")
    if not sign:
        return "several values of a key stand behind it with commas, as in surrogate=atan,triangle"
    if key and set(value) & set("() ") and not set(value) & set("\"'"):
        quoted = f"\"{key}='{value}'\""
        return (
            f"a value with brackets or spaces stands in two pairs of quotes, as in {shortened(quoted, SHOWN)}"
        )
    return f"{one_line(error)}; write key=value without spaces and quote special characters"


def _quoted(word: str) -> str:
    """Shorten a word for a message, in quotes."""
    return f"'{shortened(word, SHOWN)}'"


def _require_readable(word: str) -> None:
    """Refuse words that parsers fail on with errors about themselves: keys, depths and numbers beyond all use."""
    key, quoted = word.partition("=")[0], _quoted(word)
    if len(key) > LONGEST_KEY:
        raise InputError(f"{quoted}: a key has at most {LONGEST_KEY} characters; see: sgbench run --help")
    if "\0" in word:
        raise InputError(f"{quoted}: holds a zero byte, which no name and no file has; leave it out")
    if max(_depths(word), default=0) > DEEPEST:
        raise InputError(f"{quoted}: brackets are nested more than {DEEPEST} deep; leave some out")
    if re.search(rf"\d{{{LONGEST_NUMBER},}}", word):
        raise InputError(f"{quoted}: a number of {LONGEST_NUMBER} digits or more; write it as 1e9")
    for name in called(word.replace("\\", "")):  # what the parsers take out
        if name not in RESOLVERS:
            raise InputError(
                f"{quoted}: ${{{name}:...}} is not for words, since no record would say what it was; "
                f"write the value itself"
            )


def _depths(word: str) -> Iterator[int]:
    """Yield the depth of brackets behind each character."""
    depth = 0
    for character in word:
        depth += (character in "([{") - (character in ")]}")
        yield depth


def called(word: str) -> Iterator[str]:
    """Yield the functions that references call: what stands between a bracket and its first colon, if any.

    >>> list(called("a=${oc.env:HOME},${.beta},${decay:${tau},1}")), list(called("a=${${b}.env:X}"))
    (['oc.env', 'decay'], ['${b}.env'])
    """
    for opened in re.finditer(r"\$\{", word):
        depth = 0
        for place in range(opened.end(), len(word)):
            depth += (word[place] == "{") - (word[place] == "}")
            if depth < 0:
                break
            if depth == 0 and word[place] == ":":
                yield word[opened.end() : place].strip()
                break


def _require_values(word: str, override: Override) -> None:
    """Refuse a sweep whose values Hydra could not list."""
    value, quoted = override.value(), _quoted(word)
    if isinstance(value, Glob):
        group = override.key_or_group.partition("@")[0]
        raise InputError(
            f"{quoted}: glob(...) is not read; write the names: {group}=a,b (sgbench list {group})"
        )
    if isinstance(value, RangeSweep) and not _is_finite(value):
        raise InputError(
            f"{quoted}: finite ends and a step other than 0 are needed; write e.g. range(0,10,2)"
        )


def _is_finite(sweep: RangeSweep) -> bool:
    """Return whether a range has finite ends and a step."""
    numbers = _numbers(sweep)
    return numbers[-1] != 0 and all(map(math.isfinite, numbers))


def _numbers(sweep: RangeSweep) -> tuple[float, float, float]:
    """Return start, stop and step of a range; Hydra's grammar gives all three."""
    return sweep.start or 0, sweep.stop or 0, sweep.step or 0


def count_values(override: Override) -> int:
    """Count the values of a word without listing them.

    >>> [count_values(override) for override in parse_overrides(["seed=range(1e9)", "seed=1,2", "seed=1"])]
    [1000000000, 2, 1]
    """
    value = override.value()
    if isinstance(value, RangeSweep):
        start, stop, step = _numbers(value)
        return max(0, -int((start - stop) // step))
    return len(value.list) if isinstance(value, ChoiceSweep) else 1


def seed_word(seeds: Sequence[int]) -> str:
    """Write the word that names these seeds, as a range where there are many neighbours.

    >>> seed_word([200]), seed_word([0, 1, 7]), seed_word(range(200, 210))
    ('seed=200', 'seed=0,1,7', "'seed=range(200,210)'")
    """
    first, last = seeds[0], seeds[-1]
    if len(seeds) > MOST_LISTED and list(seeds) == list(range(first, last + 1)):
        return f"'seed=range({first},{last + 1})'"
    return f"seed={','.join(map(str, seeds))}"


def one_line(error: BaseException) -> str:
    """Write the message of a Hydra or OmegaConf exception on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    noise = (
        "full_key:",
        "object_type=",
        "reference_type=",
        "See https://",
        "Set the environment",
        "Config search path",
        "provider=",
    )
    text = " ".join(" ".join(line for line in lines if not line.startswith(noise)).split())
    text = text.removeprefix("InputError raised while resolving interpolation: ")
    return text or type(error).__name__
