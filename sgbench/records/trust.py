"""Verifications of methods on a leaderboard by others, and notices that a method is not ranked any more."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from sgbench.records.base import (
    Amount,
    Commit,
    Fraction,
    Grown,
    MethodId,
    Number,
    Strict,
    Text,
    Time,
    Title,
    Version,
    Words,
)
from sgbench.records.spec import ProtocolName
from sgbench.records.submission import Seeds

Tier = Literal["rescored", "reinferred", "retrained"]
TIERS: tuple[Tier, ...] = ("rescored", "reinferred", "retrained")


class Verification(Grown):
    """Reports the outcome of one check of a claim: by whom, with what, and both numbers side by side."""

    LATER: ClassVar[frozenset[str]] = frozenset({"claimed_loss", "verified_loss"})

    schema_version: Version
    protocol: ProtocolName
    method_id: MethodId
    tier: Tier
    passed: bool
    verifier: Title
    seeds: Seeds
    claimed_accuracy: Fraction | None  # mean over these seeds; None where losses are compared
    verified_accuracy: Fraction | None
    agreement: Fraction | None  # share of samples with the claimed prediction
    tolerance: Amount | None  # of the accuracy or loss
    statement: Words
    commit: Commit | None
    versions: dict[Text, Text] = Field(max_length=100)
    created_utc: Time
    claimed_loss: Number | None = None  # of a task without classes
    verified_loss: Number | None = None

    @model_validator(mode="after")
    def _both(self) -> Verification:
        pairs = ((self.claimed_accuracy, self.verified_accuracy), (self.claimed_loss, self.verified_loss))
        is_stated = [None not in pair for pair in pairs]
        if is_stated.count(True) != 1 or any((one is None) != (two is None) for one, two in pairs):
            raise ValueError("claimed and verified accuracy are stated, or claimed and verified loss")
        if self.claimed_loss is None and (self.tolerance or 0) > 1:
            raise ValueError("tolerance of an accuracy is at most 1")
        return self

    @property
    def claimed(self) -> float:
        score = self.claimed_loss if self.claimed_accuracy is None else self.claimed_accuracy
        assert score is not None  # noqa: S101 - one is stated
        return score

    @property
    def verified(self) -> float:
        score = self.verified_loss if self.verified_accuracy is None else self.verified_accuracy
        assert score is not None  # noqa: S101 - one is stated
        return score


class Notice(Strict):
    """Says why a method that stays in the store is no longer ranked."""

    schema_version: Version
    protocol: ProtocolName
    method_id: MethodId
    kind: Literal["withdrawn", "superseded"]
    superseded_by: MethodId | None
    reason: Words
    created_utc: Time

    @model_validator(mode="after")
    def _named(self) -> Notice:
        if (self.superseded_by is None) != (self.kind == "withdrawn"):
            raise ValueError("superseded_by is stated exactly when kind is superseded")
        if self.superseded_by == self.method_id:
            raise ValueError("a method cannot supersede itself")
        return self
