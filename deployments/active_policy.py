"""The policy in force: the settings, and what the served bundle says where they are silent."""

from collections.abc import Sequence
from dataclasses import dataclass

from deployments.ledger.policy import LoggedPolicy, PolicyReference
from deployments.rules import CompiledRule, compile_rules
from deployments.served_model import ServedModel
from deployments.settings import PolicySettings, Rule, Thresholds, Weights
from training.registry import Calibration


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """What a batch is decided by, from its first hop to its last: a change waits for the next batch.

    Attributes:
        model: that scores, and that weights, thresholds and calibration come from.
        rules_without_history: apply besides, to a batch whose history could not be read.
        calibration: of the served bundle.
        explain_above: a model's score above which it explains a row. Without a score above it, the calibrated mean
            cannot be above the review threshold.
        logged: how the decision log knows the policy.
    """

    settings: PolicySettings
    model: ServedModel
    rules: tuple[CompiledRule, ...]
    rules_without_history: tuple[CompiledRule, ...]
    weights: Weights
    thresholds: Thresholds
    calibration: Calibration | None
    explain_above: float
    logged: PolicyReference


def check_rules(settings: PolicySettings) -> None:
    """Check the rules of a policy, before a bundle is loaded for it.

    Raises:
        InvalidRule: one does not parse, or names an unknown column.
    """
    rules_of(settings.rules, settings.rules_without_history)


def rules_of(
    rules: Sequence[Rule], rules_without_history: Sequence[Rule]
) -> tuple[tuple[CompiledRule, ...], tuple[CompiledRule, ...]]:
    """Return the rules that always apply, and those that apply besides where no history was read.

    Raises:
        InvalidRule: one does not parse, or names an unknown column.
    """
    return compile_rules(rules), compile_rules(rules_without_history)


def active_policy(settings: PolicySettings, model: ServedModel) -> ActivePolicy:
    """Return the policy of settings over a bundle.

    Raises:
        InvalidRule, ValidationError: settings or bundle are not valid.
    """
    manifest = model.bundle.manifest
    weights = settings.weights or Weights(**manifest.ensemble.model_dump())
    thresholds = settings.thresholds or Thresholds(**manifest.thresholds.model_dump())
    calibration = manifest.calibration
    logged = LoggedPolicy(
        model=model.name,
        weights=weights,
        thresholds=thresholds,
        rules=settings.rules,
        rules_without_history=settings.rules_without_history,
        calibration=calibration,
        max_reasons=settings.max_reasons,
    )
    rules, without_history = rules_of(settings.rules, settings.rules_without_history)
    return ActivePolicy(
        settings=settings,
        model=model,
        rules=rules,
        rules_without_history=without_history,
        weights=weights,
        thresholds=thresholds,
        calibration=calibration,
        explain_above=explain_above(thresholds, calibration),
        logged=logged.reference(),
    )


def explain_above(thresholds: Thresholds, calibration: Calibration | None) -> float:
    """Return the score above which a model explains a row: without one the mean cannot be above the threshold."""
    return thresholds.review if calibration is None else calibration.highest_score(thresholds.review)
