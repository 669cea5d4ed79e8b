"""Reason codes in words, from the rules that fired and from the models' own contributions."""

from collections.abc import Mapping, Sequence

import numpy as np

from deployments.decision import Reason
from deployments.rules import CompiledRule
from features.definitions import FEATURES
from features.formulas import Matrix
from features.words import in_words


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
