"""A peer that scores something else than the bundle is refused."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
import redis

from features.formulas import feature_matrix
from features.online import OnlineStore
from features.transaction import Transaction, TransactionBatch
from loadtests.compare.answers import TOLERANCE, answers, check, expected, known_payments, read
from loadtests.compare.errors import PeerUnavailable
from loadtests.compare.peers.models import BothModels, fraud_probability
from loadtests.compare.systems import select
from tests.unit.loadtests.compare.examples import bundle
from tests.unit.loadtests.compare.http_server import Answer, answering
from training.bundle import EnsembleWeights
from training.calibration import Calibration

BUNDLE = bundle()


@pytest.fixture
def store(valkey_socket: str) -> Iterator[OnlineStore]:
    with redis.Redis(unix_socket_path=valkey_socket, db=6) as client:
        client.flushdb()
        yield OnlineStore(client)


def scorer(store: OnlineStore, error: float = 0.0, with_history: bool = True) -> Answer:
    """Return a peer with windows of its own, and, if asked for, with a fault."""

    def answer(body: bytes) -> tuple[int, bytes]:
        content = json.loads(body)
        if not with_history:
            content["customer_id"] = f"W-{content['transaction_id']}"
        batch = TransactionBatch.of([Transaction.model_validate(content)])
        [score] = BUNDLE.score(feature_matrix(store.observe(batch))).ensemble.tolist()
        return 200, json.dumps({"fraud_probability": score + error}).encode()

    return answer


def test_a_peer_that_scores_what_the_bundle_scores_is_welcome(store: OnlineStore) -> None:
    with answering(scorer(store, error=5e-7)) as url:
        check(select(["textbook"])[0], url, BUNDLE, store)


def test_a_peer_whose_scores_differ_is_refused(store: OnlineStore) -> None:
    with answering(scorer(store, error=2e-6)) as url, pytest.raises(PeerUnavailable, match="known payment 1"):
        check(select(["textbook"])[0], url, BUNDLE, store)


def test_a_peer_without_the_windows_is_refused_on_the_second_payment(store: OnlineStore) -> None:
    with answering(scorer(store, with_history=False)) as url:
        with pytest.raises(PeerUnavailable, match="known payment 2"):
            check(select(["textbook"])[0], url, BUNDLE, store)
        check(select(["plain"])[0], url, BUNDLE, store)  # It says so itself, and is asked for a first one alone.


def test_a_peer_that_scores_nan_is_refused(store: OnlineStore) -> None:
    with (
        answering(lambda _: (200, b'{"fraud_probability": NaN}')) as url,
        pytest.raises(PeerUnavailable, match="it scores known payment 1 nan"),
    ):
        check(select(["textbook"])[0], url, BUNDLE, store)


def test_a_route_that_is_not_there_is_named_with_its_status(store: OnlineStore) -> None:
    with (
        answering(lambda _: (415, b"no arrows")) as url,
        pytest.raises(PeerUnavailable, match="answers 415: no arrows"),
    ):
        check(select(["tollgate_arrow_bulk"])[0], url, BUNDLE, store)


def test_a_peer_that_answers_for_fewer_payments_than_it_was_sent_is_refused(store: OnlineStore) -> None:
    with (
        answering(lambda _: (200, b'{"results": []}')) as url,
        pytest.raises(PeerUnavailable, match="asked for 2 scores and gave 0"),
    ):
        check(select(["tollgate_json_bulk"])[0], url, BUNDLE, store)


@pytest.mark.parametrize("body", [b"[]", b"{}", b"no json", b'{"fraud_probability": null}'])
def test_an_answer_of_another_shape_is_refused(store: OnlineStore, body: bytes) -> None:
    with answering(lambda _: (200, body)) as url, pytest.raises(PeerUnavailable, match="refused"):
        check(select(["textbook"])[0], url, BUNDLE, store)


def test_the_echo_is_not_asked_for_scores(store: OnlineStore) -> None:
    check(select(["echo"])[0], "http://127.0.0.1:1/nobody", BUNDLE, store)


def test_known_payments_are_told_apart_by_their_scores(store: OnlineStore) -> None:
    first, second = expected(BUNDLE, store).probability
    assert abs(first - second) > 10 * TOLERANCE
    assert expected(BUNDLE, store).probability == (first, second)
    assert known_payments()[0]["customer_id"] != known_payments()[0]["customer_id"]


def test_a_system_is_waited_for_until_it_answers() -> None:
    statuses = [503, 503, 200]
    with answering(lambda _: (statuses.pop(0), b"{}")) as url:
        assert answers(select(["litserve"])[0], url, 30)
    assert statuses == []


def test_a_system_that_does_not_answer_is_not_waited_for_forever() -> None:
    with answering(lambda _: (503, b"{}")) as url:
        assert not answers(select(["echo"])[0], url, 0.2)


def test_every_form_of_answer_is_read() -> None:
    scores = [0.25, 0.75]
    # What the bundle, calibration and all, makes of these scores; whole answers carry it themselves.
    [expected] = BUNDLE.combine(np.array([0.25]), np.array([0.75])).tolist()
    table = pa.table({"fraud_probability": [expected]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    bodies: dict[Any, bytes] = {
        "payment": json.dumps({"fraud_probability": expected}).encode(),
        "bulk_json": json.dumps({"results": [{"fraud_probability": expected}]}).encode(),
        "bulk_arrow": sink.getvalue().to_pybytes(),
        "vector": b'{"lr": 0.25, "xgb": 0.75}',
        "vectors": json.dumps([scores]).encode(),
        "tensor": json.dumps({"outputs": [{"data": scores}]}).encode(),
        "mlflow": json.dumps({"predictions": [scores]}).encode(),
    }
    assert {kind: read(kind, answer, BUNDLE) for kind, answer in bodies.items()} == {
        kind: [expected] for kind in bodies
    }


def test_the_peers_models_equal_the_bundle(tmp_path: Path) -> None:
    BUNDLE.save(tmp_path)
    matrix = np.random.default_rng(1).gamma(2, 20, (64, len(BUNDLE.manifest.feature_names)))
    matrix[0] = 0
    want = BUNDLE.score(matrix)
    got = np.array(BothModels(tmp_path).scores(matrix))
    np.testing.assert_allclose(got[:, 0], want.lr, rtol=0, atol=1e-12)
    np.testing.assert_allclose(got[:, 1], want.xgb, rtol=0, atol=1e-7)


@pytest.mark.parametrize("calibration", [None, Calibration(a=1.1, b=0.9, c=0.1)])
def test_the_peers_combine_both_scores_as_the_bundle_does(tmp_path: Path, calibration: Calibration | None) -> None:
    changes = {"ensemble": EnsembleWeights(lr=0.15, xgb=0.85), "calibration": calibration}
    saved = replace(BUNDLE, manifest=BUNDLE.manifest.model_copy(update=changes))
    saved.save(tmp_path)
    lr, xgb = np.array([0.2, 0.9, 1e-6]), np.array([0.7, 0.01, 1e-3])
    got = list(map(fraud_probability(tmp_path), lr.tolist(), xgb.tolist()))
    np.testing.assert_allclose(got, saved.combine(lr, xgb), rtol=1e-12)
