"""The policy that decisions were made by, as text: with it and what the log holds, each can be made again."""

import hashlib
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from deployments.settings import Rule, Thresholds, Weights
from training.registry import Calibration

DIGEST_DIGITS: Final = 16


class LoggedPolicy(BaseModel):
    """Rules, weights, thresholds and calibration, as they applied.

    Attributes:
        calibration: of the bundle; None where the weighted mean was the probability.
        max_reasons: given for a decision; None in logs of releases that did not write it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    weights: Weights
    thresholds: Thresholds
    rules: tuple[Rule, ...]
    rules_without_history: tuple[Rule, ...]
    calibration: Calibration | None
    max_reasons: int | None = None

    def reference(self) -> "PolicyReference":
        """Return the policy as log entries refer to it."""
        text = self.model_dump_json()
        return PolicyReference(hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS], text)


@dataclass(frozen=True, slots=True)
class PolicyReference:
    """A policy's JSON, and the digest under which entries refer to it."""

    digest: str
    text: str
