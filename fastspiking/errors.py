"""Defines expected errors, whose messages name the thing and the remedy in one line."""

import difflib
from collections.abc import Iterable


class ExpectedError(Exception):
    """Reports an expected error; the command prints its message on one line, without a traceback."""

    exit_code = 1


class InputError(ExpectedError, ValueError):
    """Reports a name, number or file of the user's that is not usable; exit code 2."""

    exit_code = 2


class StorageError(ExpectedError, OSError):
    """Reports a file or folder that cannot be written: read-only, full, or missing rights; exit code 2."""

    exit_code = 2


MOST_CHARACTERS_OF_WORD, LONGEST_LINE = 500, 3000
"""Most characters of a word and of a line in a message; longer ones are cut in their middle."""


GAP = " ... "


def one_printable_line(error: BaseException) -> str:
    r"""Write an error's message on one line; long words are shortened and control characters replaced.

    >>> one_printable_line(InputError("no folder \x1b[31mred\nhere"))
    'no folder ?[31mred here'
    >>> len(one_printable_line(InputError("9" * 100_000)))
    500
    """
    words = [shortened(word, MOST_CHARACTERS_OF_WORD) for word in str(error).split()]
    return printable(shortened(" ".join(words), LONGEST_LINE))


def shortened(text: str, longest: int) -> str:
    """Shorten a text in its middle to `longest` characters, so that its end, often a remedy, can be read.

    >>> shortened("0123456789", 9), shortened("0123456789", 10)
    ('012 ... 9', '0123456789')
    """
    if len(text) <= longest:
        return text
    end = max(1, (longest - len(GAP)) // 3)
    return f"{text[: longest - len(GAP) - end]}{GAP}{text[-end:]}"


def printable(text: str) -> str:
    """Replace each character that cannot be printed, such as a control character, by a question mark."""
    return "".join(character if character.isprintable() else "?" for character in text)


STEEPNESS_NAMES = ("alpha", "beta", "k", "slope", "steepness")
"""Names that libraries give to the steepness of a surrogate."""


FEW_NAMES = 8
"""Number of known names up to which an error message lists all."""


NEAR_NAMES = 3
"""Number of near names that a message lists if more are known."""


def suggest(wrong: str, known: Iterable[str], list_command: str = "") -> str:
    """Write the end of an error message: the nearest known names, and all of them or how to see them.

    `wrong`: the unknown name that was typed.

    >>> suggest("atann", ["atan", "sigmoid"])
    "did you mean 'atan'? Known: atan, sigmoid"
    >>> suggest("slope", ["alpha", "scale"])
    "did you mean 'alpha'? Known: alpha, scale"
    >>> suggest("mine", [f"mine_{number}" for number in range(40)], "sgbench list dataset")
    "did you mean 'mine_0', 'mine_1' or 'mine_10'? 40 are known: sgbench list dataset"
    """
    names = sorted(map(str, known))  # a file's keys may be numbers
    is_short = len(names) <= FEW_NAMES
    synonyms = [name for name in names if wrong in STEEPNESS_NAMES and name in STEEPNESS_NAMES]
    longer = [name for name in names if wrong and name.startswith(f"{wrong}_")]
    near = dict.fromkeys([*synonyms, *longer, *difflib.get_close_matches(wrong, names, n=NEAR_NAMES)])
    close = list(near)[: 1 if is_short else NEAR_NAMES]
    *first, last = map(repr, close or [""])
    hint = f"did you mean {', '.join(first) + ' or ' if first else ''}{last}? " if close else ""
    if is_short or not (close or list_command):
        return f"{hint}Known: {', '.join(names)}"
    return f"{hint}{len(names)} are known{': ' if list_command else ''}{list_command}"
