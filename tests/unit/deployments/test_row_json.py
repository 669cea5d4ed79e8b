"""The JSON of many answers equals that of one, byte for byte."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from deployments.batcher import Share
from deployments.bulk import Chunk
from deployments.decision import Decisions, Earlier, Reason
from deployments.errors import ErrorBody
from deployments.responses import prediction
from deployments.row_json import error_row, item_rows
from features.definitions import FEATURE_NAMES
from features.transaction import TransactionBatch
from tests.unit.deployments.transactions import batch_of

scores = st.floats(0, 1) | st.just(float("nan"))
texts = st.text(min_size=1, max_size=6) | st.sampled_from(['","', 'a",', '"', "\\", "a\\", "é\n", "</x>"])
reasons = st.lists(st.builds(Reason, st.sampled_from(["rule", "model"]), texts, texts), max_size=2)


@st.composite
def decided(draw: st.DrawFn) -> tuple[TransactionBatch, Decisions, Share]:
    n = draw(st.integers(1, 5))
    start = draw(st.integers(0, n - 1))
    column = st.lists(scores, min_size=n, max_size=n).map(np.array)
    decisions = Decisions(
        probability=draw(column),
        lr=draw(column),
        xgb=draw(column),
        decision=np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.int8),
        is_fraud=np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n))),
        rules=draw(st.dictionaries(st.integers(0, n - 1), st.lists(texts, max_size=2))),
        model_version=draw(texts),
        degraded=tuple(draw(st.lists(texts, max_size=2))),
        reasons=draw(st.dictionaries(st.integers(0, n - 1), reasons)),
        features=np.array(draw(st.lists(st.floats(-1e9, 1e9), min_size=n, max_size=n)))[:, None]
        * np.ones(len(FEATURE_NAMES)),
        earlier=draw(st.dictionaries(st.integers(0, n - 1), st.builds(Earlier, texts, st.tuples(texts)))),
    )
    ids = draw(st.lists(texts, min_size=n, max_size=n))
    batch = batch_of(n, transaction_id=ids)
    return batch, decisions, Share(start, draw(st.integers(start + 1, n)))


@given(decided(), st.booleans(), st.booleans())
def test_rows_from_columns_equal_answers_one_by_one(
    of_batch: tuple[TransactionBatch, Decisions, Share], include_features: bool, assigned: bool
) -> None:
    batch, decisions, share = of_batch
    n = share.stop - share.start
    own = batch.transaction_id[share.start : share.stop]
    rows = item_rows(range(7, 7 + n), own, [assigned] * n, Chunk(0, n, decisions, share), include_features)
    expected = [
        to_json({"index": 7 + at, **prediction(batch, decisions, row, assigned, include_features)}).decode()
        for at, row in enumerate(range(share.start, share.stop))
    ]
    assert rows == expected


@pytest.mark.parametrize("details", [[], [{"field": 'a"b', "message": "é"}]])
def test_an_error_row_has_the_one_error_shape(details: list[dict[str, str]]) -> None:
    body = ErrorBody.model_validate({"code": "c", "message": 'a "b"', "details": details})
    assert json.loads(error_row(3, body)) == {"index": 3, "error": body.model_dump()}
