"""The parser of formulas in which a surrogate's slope can be written; a formula is never evaluated as Python.

A formula has numbers, `NAMES`, `CONSTANTS`, `FUNCTIONS`, arithmetic and comparisons (1 if true, else 0). Anything
else is refused in one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fastspiking.errors import InputError, printable

LONGEST, DEEPEST, MOST_NODES = 300, 30, 120
"""Largest number of characters, of nested levels and of operations in a formula."""
SMALLEST_NUMBER, LARGEST_NUMBER = 1e-12, 1e12
"""Bounds of the numbers in a formula other than 0."""
FUNCTIONS = {
    "abs": 1, "atan": 1, "cos": 1, "cosh": 1, "erf": 1, "exp": 1, "expm1": 1, "log": 1, "log1p": 1, "sigmoid": 1,
    "sin": 1, "sinh": 1, "sqrt": 1, "tanh": 1, "min": 2, "max": 2, "where": 3,
}  # fmt: skip
"""Number of arguments of each function; the last is `where(condition, value, other)`."""
NAMES = ("u", "a")
"""Variables: u is the potential minus threshold, a the formula's parameter."""
CONSTANTS = {"pi": math.pi, "e": math.e}
COMPARISONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
SUMS = {"+": "add", "-": "sub"}
PRODUCTS = {"*": "mul", "/": "div"}
RANKS = {  # of operators; those of higher rank bind more tightly
    "lt": 0, "le": 0, "gt": 0, "ge": 0, "add": 1, "sub": 1, "mul": 2, "div": 2, "neg": 3, "pow": 4,
}  # fmt: skip
SIGNS = {name: sign for signs in (COMPARISONS, SUMS, PRODUCTS, {"**": "pow"}) for sign, name in signs.items()}
NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
TOKEN = re.compile(rf"\s*(?:({NUMBER})|([A-Za-z]\w*)|(\*\*|<=|>=|[-+*/(),<>]))", re.ASCII)
A_NUMBER, A_NAME = 1, 2
"""Groups of `TOKEN` that match a number and a name."""


class Node(NamedTuple):
    """Holds one operation of a formula and its arguments: a node of the syntax tree."""

    # "number", one of `NAMES`, a function's name, an operator's name in `SIGNS`, or "neg" for a minus sign.
    operation: str
    arguments: tuple[Node, ...] = ()
    value: float = 0.0  # of a number


def parse_formula(text: object, name: str = "surrogate.formula") -> Node:
    """Parse a formula to its syntax tree; `name` is the parameter's in the error.

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
        raise InputError(f"{name}={text}: it does not depend on u, the potential minus threshold; use constant")
    return tree


def formula_text(tree: Node) -> str:
    """Write a syntax tree as a formula in canonical form, without blanks and needless brackets.

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
    # Least ranks of the left and of the right side that need no brackets.
    left_rank, right_rank = rank, rank + 1  # a-b-c is (a-b)-c
    if operation == "pow":  # a**b**c is a**(b**c), and an exponent may have a sign
        left_rank, right_rank = rank + 1, RANKS["neg"]
    elif operation in COMPARISONS.values():  # a<b<c is not allowed
        left_rank = rank + 1
    return f"{_within(left, left_rank)}{SIGNS[operation]}{_within(right, right_rank)}"


def canonical_formula(text: object, name: str = "surrogate.formula") -> str:
    """Convert a formula to its canonical form, which enters the method id; `name` is the parameter's in the error.

    >>> canonical_formula("exp( -(a*u)**2.0 )")
    'exp(-(a*u)**2)'
    """
    return formula_text(parse_formula(text, name))


def nodes(tree: Node) -> Iterator[Node]:
    """Yield all nodes of a formula, arguments before the operation on them."""
    for argument in tree.arguments:
        yield from nodes(argument)
    yield tree


def _within(tree: Node, rank: int) -> str:
    """Write a part of a formula, in brackets if its operator has less than this rank."""
    text = formula_text(tree)
    return f"({text})" if RANKS.get(tree.operation, 9) < rank else text


class _Reader:
    """Parses a formula by recursive descent; errors are InputError.

    Each method for a kind of expression reads it from the current token on, and returns its syntax tree: a comparison
    has sums, a sum products, a product signed factors, and a factor is an atom or a power. `depth` is the number of
    brackets and signs around it. `name`: of the parameter, for errors.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text.strip(), name
        self.offset = 0  # in the text, after the current token
        self.count = 0  # operations so far
        self.current, self.kind = "", 0  # text of the current token ("" at the end), and its group of `TOKEN`
        self.advance()

    def refusal(self, reason: str) -> InputError:
        return InputError(f"{self.name}={printable(self.text)}: {reason}")

    def advance(self) -> str:
        """Go on to the next token, and return the one that was current."""
        before, self.current, self.kind = self.current, "", 0
        match = TOKEN.match(self.text, self.offset)
        if match is not None:
            self.kind = match.lastindex or 0  # the one group that has matched
            self.current, self.offset = match[self.kind], match.end()
        elif self.offset < len(self.text):
            raise self.refusal(f"{self.text[self.offset :].strip()[:1]!r} is no part of a formula")
        return before

    def end(self) -> None:
        if self.current:
            raise self.refusal(f"{self.current!r} is not expected there")

    def node(self, operation: str, *arguments: Node, value: float = 0.0) -> Node:
        self.count += 1
        if self.count > MOST_NODES:
            raise self.refusal(f"more than {MOST_NODES} operations")
        return Node(operation, arguments, value)

    def comparison(self, depth: int) -> Node:
        left = self.sum(depth)
        if self.current not in COMPARISONS:
            return left
        operation = COMPARISONS[self.advance()]
        return self.node(operation, left, self.sum(depth))

    def sum(self, depth: int) -> Node:
        return self.chain(SUMS, lambda: self.chain(PRODUCTS, lambda: self.signed(depth)))

    def chain(self, signs: dict[str, str], read_operand: Callable[[], Node]) -> Node:
        """Read operands joined by operators of one rank, which are grouped from the left."""
        left = read_operand()
        while self.current in signs:
            operation = signs[self.advance()]
            left = self.node(operation, left, read_operand())
        return left

    def signed(self, depth: int) -> Node:
        """Read a power or an atom, with any number of signs before it; an exponent may have signs, too."""
        if depth > DEEPEST:
            raise self.refusal(f"more than {DEEPEST} levels of brackets and signs")
        if self.current in SUMS:
            is_minus = self.advance() == "-"
            operand = self.signed(depth + 1)
            return self.node("neg", operand) if is_minus else operand
        base = self.atom(depth)
        if self.current != "**":
            return base
        self.advance()
        return self.node("pow", base, self.signed(depth + 1))

    def atom(self, depth: int) -> Node:
        """Read a number, a name, a call of a function, or an expression in brackets."""
        kind, symbol = self.kind, self.advance()
        if kind == A_NUMBER:
            return self.node("number", value=self.number(symbol))
        if kind == A_NAME:
            return self.call(symbol, depth) if self.current == "(" else self.name_or_constant(symbol)
        if symbol != "(":
            raise self.refusal(f"{symbol!r} is not expected there" if symbol else "it ends too early")
        inside = self.comparison(depth + 1)
        self.expect(")")
        return inside

    def call(self, name: str, depth: int) -> Node:
        """Read a function's arguments in brackets; unknown functions and other counts of arguments are refused."""
        if name not in FUNCTIONS:
            raise self.refusal(f"{name!r} is no function of a formula; known are {', '.join(FUNCTIONS)}")
        self.expect("(")
        arguments = [self.comparison(depth + 1)]
        while self.current == ",":
            self.advance()
            arguments.append(self.comparison(depth + 1))
        self.expect(")")
        if len(arguments) != FUNCTIONS[name]:
            raise self.refusal(f"{name} takes {FUNCTIONS[name]} argument(s), here {len(arguments)}")
        return self.node(name, *arguments)

    def name_or_constant(self, name: str) -> Node:
        if name in CONSTANTS:
            return self.node("number", value=CONSTANTS[name])
        if name not in NAMES:
            raise self.refusal(f"{name!r} is not known; a formula has u and a, {', '.join(CONSTANTS)}")
        return self.node(name)

    def number(self, token: str) -> float:
        value = float(token)
        is_zero = not re.search(r"[1-9]", token.lower().partition("e")[0])  # 1e-400 is none, though float() says so
        if not is_zero and not SMALLEST_NUMBER <= value <= LARGEST_NUMBER:
            raise self.refusal(f"{token} is not between {SMALLEST_NUMBER:g} and {LARGEST_NUMBER:g}")
        return value

    def expect(self, sign: str) -> None:
        if self.current != sign:
            raise self.refusal(f"{sign!r} is missing" + (f" before {self.current!r}" if self.current else ""))
        self.advance()
