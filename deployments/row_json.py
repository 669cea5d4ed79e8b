"""The JSON of many answers, written from columns: constants, and numbers and texts that are serialised a column at
a time. It equals, byte for byte, what :func:`deployments.responses.prediction` gives a row at a time."""

import functools
from collections.abc import Sequence
from typing import Any, Final

from pydantic_core import to_json

from deployments.bulk import Chunk
from deployments.decision import DECISION_NAMES, Decisions
from deployments.errors import ErrorBody
from features.definitions import FEATURE_NAMES

_FLAGS: Final = ("false", "true")


def item_rows(
    indices: Sequence[int], ids: Sequence[str], assigned: Sequence[bool], chunk: Chunk, include_features: bool
) -> list[str]:
    """Return the JSON objects of the n rows of a chunk.

    Args:
        indices, ids, assigned: (n,) place in the request, transaction_id, and whether that was assigned here.
    """
    decisions, rows = chunk.decisions, range(chunk.share.start, chunk.share.stop)
    of_rows = slice(rows.start, rows.stop)
    heads = _heads()
    kinds = (decisions.decision[of_rows] * 2 + decisions.is_fraud[of_rows]).tolist()
    tails = _tails(decisions, rows)
    if include_features and decisions.features is not None:
        features = _features(decisions.features[of_rows].ravel().tolist())
        tails = [f'{tail},"features":{{{values}}}' for tail, values in zip(tails, features, strict=True)]
    return [
        f'{{"index":{index},"transaction_id":{text},"transaction_id_assigned":{_FLAGS[is_assigned]}'
        f'{heads[kind]}{probability},"model_scores":{{"lr":{lr},"xgb":{xgb}}}{tail}}}'
        for index, text, is_assigned, kind, probability, lr, xgb, tail in zip(
            indices,
            _texts(ids),
            assigned,
            kinds,
            _numbers(decisions.probability[of_rows].tolist()),
            _numbers(decisions.lr[of_rows].tolist()),
            _numbers(decisions.xgb[of_rows].tolist()),
            tails,
            strict=True,
        )
    ]


def error_row(index: int, body: ErrorBody) -> str:
    """Return the JSON object of a row that was not decided."""
    return f'{{"index":{index},"error":{body.model_dump_json()}}}'


@functools.cache
def _heads() -> list[str]:
    """Return the text between id and probability, at place 2 x decision + is_fraud."""
    return [
        f',"prediction":"{prediction}","decision":"{decision}","fraud_probability":'
        for decision in DECISION_NAMES
        for prediction in ("LEGIT", "FRAUD")
    ]


def _tails(decisions: Decisions, rows: range) -> list[str]:
    """Return what comes after the scores; most rows have no rule and no reason, and share one text."""
    version = _version(decisions.model_version, decisions.degraded, "false")
    usual = f',"rules":[],"explanation":[]{version}'
    tails = [usual] * len(rows)
    for row in {*decisions.rules, *decisions.reasons, *decisions.earlier}:
        if row in rows:
            reasons = [
                {"source": reason.source, "code": reason.code, "text": reason.text}
                for reason in decisions.reasons.get(row, ())
            ]
            rules = _json(decisions.rules.get(row, []))
            earlier = decisions.earlier.get(row)
            own = version if earlier is None else _version(earlier.model_version, earlier.degraded, "true")
            tails[row - rows.start] = f',"rules":{rules},"explanation":{_json(reasons)}{own}'
    return tails


def _version(model_version: str, degraded: tuple[str, ...], duplicate: str) -> str:
    return f',"model_version":{_json(model_version)},"degraded":{_json(degraded)},"duplicate":{duplicate}'


def _features(values: list[float]) -> list[str]:
    """Return the members of the features object of each row."""
    width = len(FEATURE_NAMES)
    template = ",".join(f'"{name}":%s' for name in FEATURE_NAMES)
    numbers = _json(values)[1:-1].split(",")
    return [template % tuple(numbers[at : at + width]) for at in range(0, len(numbers), width)]


def _numbers(values: list[float]) -> list[str]:
    # A number holds no comma. NaN is null, as in a single answer.
    return to_json(values, inf_nan_mode="null")[1:-1].decode().split(",")


def _texts(texts: Sequence[str]) -> list[str]:
    whole = to_json(texts)
    if b"\\" in whole:
        # Only a text with a quote, which is escaped, can hold what separates two texts.
        return [_json(text) for text in texts]
    return [f'"{text}"' for text in whole[2:-2].decode().split('","')]


def _json(value: Any) -> str:
    return to_json(value).decode()
