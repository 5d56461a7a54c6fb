"""The audit of a leaderboard: seeds that were trained again, each with the claimed score, one file a board."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from sgbench.records.base import (
    Amount,
    Commit,
    Fraction,
    Grown,
    MethodId,
    Natural,
    Number,
    Positive,
    Strict,
    Text,
    Time,
    Title,
    Version,
    Words,
)
from sgbench.records.spec import ProtocolName
from sgbench.records.submission import Seeds

MAX_ROWS = 100_000


class Retraining(Strict):
    """Holds one seed of a method that was trained again, beside the score of its record."""

    method_id: MethodId
    seed: Natural
    claimed: Number  # accuracy, or the loss of a task without classes
    again: Number  # as by guessing where the training failed
    engine: Text = Field(max_length=100)


class AuditSession(Strict):
    """Holds what one verifier trained again with one commit on one machine, and by which draw."""

    verifier: Title
    draw: Natural
    commit: Commit | None
    versions: dict[Text, Text] = Field(max_length=100)
    processor: Text = Field(max_length=200)
    created_utc: Time
    retrainings: tuple[Retraining, ...] = Field(max_length=MAX_ROWS)


class Tolerance(Strict):
    """Says how far a seed trained again may lie from its claim, and what that is taken from."""

    score: Amount  # of one seed's accuracy or loss
    spread: Amount  # root mean square difference, or standard deviation of seeds
    pairs: Positive  # differences, or seeds, behind it
    basis: Literal["remade", "seeds"]
    solved_from: Fraction | None  # where set, the share of seeds from here on is compared in place of scores


class Repeatability(Strict):
    """Says how far honest runs of one seed lie apart on two kinds of processor, from the maintainers' own rows."""

    spread: Amount  # root mean square of score minus claim
    largest: Amount  # of these differences
    repeats: Natural  # runs on another processor than their record's that it is taken from
    least: Amount  # a difference that never counts: one test sample, or a hundredth of the mean loss
    loose: Amount  # tolerance of a mean from which on no claim is ranked: 10 points, or a tenth of guessing's loss


class Draw(Strict):
    """Names the commit that draws which seeds of a hand-in are trained again, promised before it was made."""

    method_id: MethodId
    promised_utc: Time
    commit: Commit | None = None  # the first that follows the commit which brought the promise; None until then
    seeds: tuple[Natural, ...] = Field(default=(), max_length=1000)


class FreshScore(Strict):
    """Holds what stored weights score on a test split that was drawn after they were handed in."""

    method_id: MethodId
    draw: Natural
    seeds: Seeds
    claimed: Number  # mean over these seeds
    fresh: Number
    samples: Positive
    commit: Commit | None
    created_utc: Time


class PassedOver(Strict):
    """Says why a method was not trained again and has a rank all the same."""

    method_id: MethodId
    reason: Words


class Audit(Grown):
    """Reports everything that was trained again of one board."""

    LATER: ClassVar[frozenset[str]] = frozenset({"repeatability", "draws", "own", "elsewhere"})

    schema_version: Version
    protocol: ProtocolName
    measure: Literal["accuracy", "loss"]
    tolerance: Tolerance | None  # None until enough was trained again
    sessions: tuple[AuditSession, ...] = Field(max_length=10_000)
    passed_over: tuple[PassedOver, ...] = Field(max_length=MAX_ROWS)
    fresh: tuple[FreshScore, ...] = Field(default=(), max_length=MAX_ROWS)
    repeatability: Repeatability | None = None
    draws: tuple[Draw, ...] | None = Field(default=None, max_length=MAX_ROWS)  # none is ever taken out
    own: tuple[MethodId, ...] | None = Field(default=None, max_length=MAX_ROWS)
    """Hand-ins that the maintainers made themselves, which rank as their other rows do."""
    elsewhere: tuple[AuditSession, ...] | None = Field(default=None, max_length=MAX_ROWS)
    """Single seeds that others repeated on processors of theirs; they are told of, and give or take no rank."""


class Repetition(Strict):
    """Holds one drawn seed that anybody trained again, as it is handed in."""

    schema_version: Version
    protocol: ProtocolName
    session: AuditSession

    @model_validator(mode="after")
    def _one(self) -> Repetition:
        if len(self.session.retrainings) != 1:
            raise ValueError("one seed that was trained again is needed")
        return self
