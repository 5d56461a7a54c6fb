"""The language in which a surrogate's slope is written as a formula: read by a parser of its own, never evaluated.

A formula is data. It holds numbers, the names of `NAMES`, the functions of `FUNCTIONS`, arithmetic and comparisons
(1 where true, else 0); what else it says is refused in one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sgbench.errors import InputError

LONGEST, DEEPEST, MOST_NODES = 300, 30, 120
"""Characters, levels and operations of a formula."""
SMALLEST_NUMBER, LARGEST_NUMBER = 1e-12, 1e12
"""Between which a number of a formula lies, unless it is 0."""
FUNCTIONS = {
    "abs": 1, "atan": 1, "cos": 1, "cosh": 1, "erf": 1, "exp": 1, "expm1": 1, "log": 1, "log1p": 1, "sigmoid": 1,
    "sin": 1, "sinh": 1, "sqrt": 1, "tanh": 1, "min": 2, "max": 2, "where": 3,
}  # fmt: skip
"""How many arguments each function takes; `where(condition, value, other)`."""
NAMES = ("u", "a")
"""The potential minus threshold, and the formula's own parameter."""
CONSTANTS = {"pi": math.pi, "e": math.e}
COMPARISONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
SUMS = {"+": "add", "-": "sub"}
PRODUCTS = {"*": "mul", "/": "div"}
RANKS = {
    "lt": 0, "le": 0, "gt": 0, "ge": 0, "add": 1, "sub": 1, "mul": 2, "div": 2, "neg": 3, "pow": 4,
}  # fmt: skip
SIGNS = {name: sign for signs in (COMPARISONS, SUMS, PRODUCTS, {"**": "pow"}) for sign, name in signs.items()}
NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
TOKEN = re.compile(rf"\s*(?:({NUMBER})|([A-Za-z]\w*)|(\*\*|<=|>=|[-+*/(),<>]))")
A_NUMBER, A_NAME = 1, 2
"""Groups of a token."""


class Node(NamedTuple):
    """Holds one operation of a formula with what it is done to."""

    # "number", a name of `NAMES`, a function, or what `SIGNS` calls an operator; "neg" for a sign.
    operation: str
    arguments: tuple[Node, ...] = ()  # what it is done to
    value: float = 0.0


def parse_formula(text: object, name: str = "surrogate.formula") -> Node:
    """Read a formula.

    Raises:
        InputError: what it says is no formula, or is longer, deeper or larger than is allowed.

    >>> parse_formula("a*u").operation
    'mul'
    """
    if not isinstance(text, str):
        raise InputError(f'{name}={text!r}: a formula in quotes is needed, e.g. "1/(1+abs(a*u))**2"')
    if len(text) > LONGEST:
        raise InputError(f"{name}: {len(text)} characters; a formula has {LONGEST} at most")
    reader = _Reader(text, name)
    tree = reader.comparison(0)
    reader.end()
    if not any(node.operation == "u" for node in nodes(tree)):
        raise InputError(
            f"{name}={text}: it does not depend on u, the potential minus threshold; use constant"
        )
    return tree


def formula_text(tree: Node) -> str:
    """Write a formula in the one way that stands in records: no blanks or brackets that change nothing.

    >>> formula_text(parse_formula("(1.0) / ((1 + abs(a * u)) ** 2)"))
    '1/(1+abs(a*u))**2'
    """
    operation, arguments, value = tree
    if operation == "number":
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else repr(value)  # noqa: PLR2004
    if not arguments:
        return operation
    if operation in FUNCTIONS:
        return f"{operation}({','.join(map(formula_text, arguments))})"
    rank = RANKS[operation]
    if operation == "neg":
        return f"-{_within(arguments[0], rank)}"
    left, right = arguments
    before, after = rank, rank + 1  # equal ranks are read from the left
    if operation == "pow":  # from the right, and its exponent may have a sign
        before, after = rank + 1, RANKS["neg"]
    elif operation in COMPARISONS.values():  # of which one is not compared with another
        before = rank + 1
    return f"{_within(left, before)}{SIGNS[operation]}{_within(right, after)}"


def canonical_formula(text: object, name: str = "surrogate.formula") -> str:
    """Return the one text of a formula, by which a method is named.

    Raises:
        InputError: see `parse_formula`.

    >>> canonical_formula("exp( -(a*u)**2.0 )")
    'exp(-(a*u)**2)'
    """
    return formula_text(parse_formula(text, name))


def nodes(tree: Node) -> Iterator[Node]:
    """Yield the operations of a formula, each after its arguments."""
    for argument in tree.arguments:
        yield from nodes(argument)
    yield tree


def _within(tree: Node, rank: int) -> str:
    text = formula_text(tree)
    return f"({text})" if RANKS.get(tree.operation, 9) < rank else text


class _Reader:
    """Reads a formula from left to right, by one method for each rank of operators."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text.strip(), name
        self.place = 0
        self.count = 0
        self.sign, self.kind = "", 0
        self.advance()

    def refusal(self, reason: str) -> InputError:
        """Make the error for a formula that cannot be read."""
        return InputError(f"{self.name}={self.text}: {reason}")

    def advance(self) -> str:
        """Return the token that is read, and read the next one."""
        done = self.sign
        match = TOKEN.match(self.text, self.place)
        if match is None and self.place < len(self.text):
            raise self.refusal(f"{self.text[self.place :].strip()[:1]!r} is no part of a formula")
        self.sign, self.kind = (
            ("", 0) if match is None else (match[match.lastindex or 0], match.lastindex or 0)
        )
        self.place = len(self.text) if match is None else match.end()
        return done

    def end(self) -> None:
        """Refuse text that follows a complete formula."""
        if self.sign:
            raise self.refusal(f"{self.sign!r} is not expected there")

    def made(self, operation: str, *arguments: Node, value: float = 0.0) -> Node:
        """Make one operation and count it."""
        self.count += 1
        if self.count > MOST_NODES:
            raise self.refusal(f"more than {MOST_NODES} operations")
        return Node(operation, arguments, value)

    def comparison(self, depth: int) -> Node:
        """Read two sums with < or > between them, or one sum."""
        left = self.chain(depth, SUMS, lambda: self.chain(depth, PRODUCTS, lambda: self.signed(depth)))
        if self.sign not in COMPARISONS:
            return left
        operation = COMPARISONS[self.advance()]
        right = self.chain(depth, SUMS, lambda: self.chain(depth, PRODUCTS, lambda: self.signed(depth)))
        return self.made(operation, left, right)

    def chain(self, depth: int, signs: dict[str, str], part: Callable[[], Node]) -> Node:
        """Read parts with operators of one rank between them, from the left."""
        left = part()
        while self.sign in signs:
            operation = signs[self.advance()]
            left = self.made(operation, left, part())
        return left

    def signed(self, depth: int) -> Node:
        """Read a power that may have a sign before it."""
        if depth > DEEPEST:
            raise self.refusal(f"more than {DEEPEST} levels of brackets and signs")
        if self.sign in SUMS:
            return (
                self.made("neg", self.signed(depth + 1)) if self.advance() == "-" else self.signed(depth + 1)
            )
        base = self.atom(depth)
        if self.sign != "**":
            return base
        self.advance()
        return self.made("pow", base, self.signed(depth + 1))

    def atom(self, depth: int) -> Node:
        """Read a number, a name, a call or what stands in brackets."""
        kind, word = self.kind, self.advance()
        if kind == A_NUMBER:
            return self.made("number", value=self.number(word))
        if kind == A_NAME:
            return self.called(word, depth) if self.sign == "(" else self.named(word)
        if word != "(":
            raise self.refusal(f"{word!r} is not expected there" if word else "it ends too early")
        inside = self.comparison(depth + 1)
        self.expect(")")
        return inside

    def called(self, name: str, depth: int) -> Node:
        """Read the arguments of a function."""
        if name not in FUNCTIONS:
            raise self.refusal(f"{name!r} is no function of a formula; known are {', '.join(FUNCTIONS)}")
        self.expect("(")
        arguments = [self.comparison(depth + 1)]
        while self.sign == ",":
            self.advance()
            arguments.append(self.comparison(depth + 1))
        self.expect(")")
        if len(arguments) != FUNCTIONS[name]:
            raise self.refusal(f"{name} takes {FUNCTIONS[name]} argument(s), here {len(arguments)}")
        return self.made(name, *arguments)

    def named(self, name: str) -> Node:
        """Read a name."""
        if name in CONSTANTS:
            return self.made("number", value=CONSTANTS[name])
        if name not in NAMES:
            raise self.refusal(f"{name!r} is not known; a formula has u and a, {', '.join(CONSTANTS)}")
        return self.made(name)

    def number(self, word: str) -> float:
        """Read a number within the limits."""
        value = float(word)
        if value and not SMALLEST_NUMBER <= value <= LARGEST_NUMBER:
            raise self.refusal(f"{word} is not between {SMALLEST_NUMBER:g} and {LARGEST_NUMBER:g}")
        return value

    def expect(self, sign: str) -> None:
        """Read what has to stand there."""
        if self.sign != sign:
            raise self.refusal(f"{sign!r} is missing" + (f" before {self.sign!r}" if self.sign else ""))
        self.advance()
