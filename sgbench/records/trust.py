"""What others say of a method on a board: that it was checked, or that it no longer counts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sgbench.records.base import Strict, Text, whole
from sgbench.records.record import Commit, Fraction, MethodId, Time
from sgbench.records.spec import ProtocolName
from sgbench.records.submission import Seeds
from sgbench.records.text import Title, Words

Version = Annotated[Literal[1], BeforeValidator(whole)]
Tier = Literal["rescored", "reinferred", "retrained"]
TIERS: tuple[Tier, ...] = ("rescored", "reinferred", "retrained")


class Verification(Strict):
    """The outcome of one check of a claim: by whom, with what, and both numbers side by side."""

    schema_version: Version
    protocol: ProtocolName
    method_id: MethodId
    tier: Tier
    passed: bool
    verifier: Title
    seeds: Seeds
    claimed_accuracy: Fraction  # mean over these seeds
    verified_accuracy: Fraction
    agreement: Fraction | None  # share of samples with the claimed prediction
    tolerance: Fraction | None  # of the accuracy
    statement: Words
    commit: Commit | None
    versions: dict[Text, Text] = Field(max_length=100)
    created_utc: Time


class Notice(Strict):
    """Why a method that stays in the store is no longer ranked."""

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
