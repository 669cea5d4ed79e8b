"""Reason codes in words, from the rules that fired and from the models' own contributions."""

from collections.abc import Mapping

import numpy as np

from deployments.decision import Reason
from deployments.rules import CompiledRule
from features.definitions import FEATURES
from features.formulas import Matrix


def explain(
    fired: list[str], rules: Mapping[str, CompiledRule], contributions: Matrix, values: Matrix, limit: int
) -> list[Reason]:
    """Return at most ``limit`` reasons for one transaction: its rules first, then what raised its score most.

    Args:
        fired: ids of the rules that fired.
        contributions: (features,) in log-odds; only positive ones, which speak for fraud, become reasons.
        values: (features,) of the transaction.
    """
    reasons = [Reason("rule", rule_id, rules[rule_id].reason) for rule_id in fired]
    for position in np.argsort(-contributions, kind="stable").tolist():
        if len(reasons) >= limit or contributions[position] <= 0:
            break
        feature = FEATURES[position]
        reasons.append(Reason("model", feature.name, feature.words.format(value=values[position])))
    return reasons[:limit]
