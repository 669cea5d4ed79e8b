"""Reason codes in words, from the rules that fired and from the models' own contributions."""

from collections.abc import Mapping, Sequence

import numpy as np

from deployments.decision import Decision, Decisions, Reason
from deployments.model_scores import ModelScores
from deployments.rules import CompiledRule
from deployments.settings import Weights
from features.definitions import FEATURES
from features.formulas import Matrix
from features.words import in_words


def reasons(
    decisions: Decisions,
    replies: Sequence[ModelScores | None],
    matrix: Matrix,
    weights: Weights,
    rules: Sequence[CompiledRule],
    limit: int,
) -> dict[int, list[Reason]]:
    """Return at most ``limit`` reasons for every row that is not approved, by row.

    Args:
        replies: of LR and XGBoost; None for one that did not answer.
        matrix: (n, features).
        rules: all that may have fired.
    """
    flagged = np.flatnonzero(decisions.decision != Decision.APPROVE)
    if not len(flagged):
        return {}
    total = np.zeros_like(matrix)
    for weight, reply in zip((weights.lr, weights.xgb), replies, strict=True):
        if reply is not None:
            total[reply.rows] += weight * reply.contributions
    by_id = {rule.id: rule for rule in rules}
    rows = flagged.tolist()
    fired = [decisions.rules.get(row, []) for row in rows]
    return dict(zip(rows, explain(fired, by_id, total[flagged], matrix[flagged], limit), strict=True))


def explain(
    fired: Sequence[Sequence[str]],
    rules: Mapping[str, CompiledRule],
    contributions: Matrix,
    values: Matrix,
    limit: int,
) -> list[list[Reason]]:
    """Return at most ``limit`` reasons for each of m transactions: rules first, then what raised its score most.

    Args:
        fired: ids of the rules that fired for each of them.
        contributions: (m, features) in log-odds; only positive ones, which speak for fraud, become reasons.
        values: (m, features) of the transactions.
    """
    order = np.argsort(-contributions, axis=1, kind="stable")[:, :limit]
    columns = (order, np.take_along_axis(contributions, order, 1), np.take_along_axis(values, order, 1))
    found: list[list[Reason]] = []
    for ids, *row in zip(fired, *(column.tolist() for column in columns), strict=True):
        reasons = [Reason("rule", rule_id, rules[rule_id].reason) for rule_id in ids]
        for position, contribution, value in zip(*row, strict=True):
            if len(reasons) >= limit or contribution <= 0:
                break
            feature = FEATURES[position]
            reasons.append(Reason("model", feature.name, in_words(feature, value)))
        found.append(reasons[:limit])
    return found
