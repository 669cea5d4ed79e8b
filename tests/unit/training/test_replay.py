"""The replay, against the real scoring code on a real Valkey; only Ray and the network are missing."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
import redis
from rich.console import Console

from deployments.settings import Rule, Weights
from features.definitions import DAY_MS, LABEL_DELAY_MS
from features.errors import InvalidHistory, OnlineStoreUnavailable, RegistryUnavailable
from features.offline import offline_matrix
from features.online import OnlineStore, key_prefix
from tests.parity.histories import history_table
from tests.unit.training.bundles import small_bundle
from tests.unit.training.fake_service import FakeRegistry, FakeService
from tests.unit.training.written_histories import (
    day,
    out_of_order,
    two_months,
    with_recorded_labels,
    write_history,
)
from training.arrivals import Arrivals
from training.bundle import Bundle
from training.replay import Period, Replayer, ReplayRefused, _slice
from training.replay_report import ReplayReport
from training.scoring_client import ScoringClient, ServiceUnavailable

EVENTS = two_months()
WEEK = Period(day(50), day(57))
SENT = sum(day(50).timestamp() <= event.time / 1000 < day(57).timestamp() for event in EVENTS)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return small_bundle()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("replay") / "history", history_table(EVENTS))


@pytest.fixture
def client(valkey_socket: str) -> Iterator["redis.Redis"]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        yield client


@pytest.fixture
def service(client: "redis.Redis", bundle: Bundle) -> Iterator[FakeService]:
    with FakeService(OnlineStore(client), bundle) as service:
        yield service


@pytest.fixture
def replayer(service: FakeService, bundle: Bundle, valkey_socket: str) -> Replayer:
    return Replayer(service.client(), FakeRegistry(bundle), f"unix://{valkey_socket}")


def text_of(report: ReplayReport) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(report)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def assert_equal(report: ReplayReport, sent: int) -> None:
    assert report.feature_mismatches == report.score_mismatches == 0, text_of(report)
    assert report.ok
    assert report.sent == report.decided == report.compared == sent > 0


def test_every_feature_and_score_equals_the_offline_path(replayer: Replayer, history: Path) -> None:
    report = replayer.run(history, WEEK)
    assert_equal(report, SENT)
    assert report.versions == {"1": SENT}
    assert "EQUAL" in text_of(report)


@pytest.mark.parametrize("late", [False, True])
def test_labels_are_sent_when_the_history_says_that_they_were_known(
    replayer: Replayer, tmp_path: Path, late: bool
) -> None:
    events = with_recorded_labels(two_months(rows=1200))
    table = out_of_order(events, late_share=0.5) if late else history_table(events)
    report = replayer.run(write_history(tmp_path / "labelled", table), WEEK)
    assert_equal(report, report.sent)


def test_one_request_a_transaction_gives_the_same(replayer: Replayer, service: FakeService, history: Path) -> None:
    assert_equal(replayer.run(history, WEEK, single=True), SENT)
    assert service.paths.count("/predict") == SENT
    assert "/predict/batch" not in service.paths


def test_transactions_that_arrived_late_are_sent_as_they_arrived(
    replayer: Replayer, service: FakeService, tmp_path: Path
) -> None:
    table = out_of_order(EVENTS)
    late = write_history(tmp_path / "late", table)
    report = replayer.run(late, WEEK)
    assert_equal(report, report.sent)
    in_order = table.sort_by("arrival").column("transaction_id").to_pylist()
    sent = [transaction_id for batch in service.batches for transaction_id in batch]
    start = in_order.index(sent[0])
    assert sent == in_order[start : start + report.sent]
    assert sent != sorted(sent, key=lambda transaction_id: int(transaction_id[1:]))


def test_without_a_period_the_last_day_is_replayed(replayer: Replayer, history: Path) -> None:
    report = replayer.run(history, Period())
    assert_equal(report, sum(event.time >= EVENTS[-1].time // DAY_MS * DAY_MS for event in EVENTS))


def test_a_limit_ends_the_replay(replayer: Replayer, history: Path) -> None:
    assert_equal(replayer.run(history, replace(WEEK, limit=7)), 7)


def test_the_history_cut_for_a_replay_gives_the_features_of_the_whole(history: Path) -> None:
    piece = _slice(Arrivals.of(history), day(58), day(60), None)
    assert piece.first < len(piece.known) < sum(event.time < day(60).timestamp() * 1000 for event in EVENTS)
    whole = offline_matrix(history_table(EVENTS))
    rows = [int(transaction_id[1:]) for transaction_id in piece.table.column("transaction_id").to_pylist()]
    np.testing.assert_array_equal(offline_matrix(piece.known)[piece.first :], whole[rows])


@pytest.mark.parametrize("late", [False, True])
def test_each_label_is_applied_when_it_becomes_known_and_not_before(tmp_path: Path, late: bool) -> None:
    table = out_of_order(EVENTS, late_share=0.5) if late else history_table(EVENTS)
    piece = _slice(Arrivals.of(write_history(tmp_path / "history", table)), day(40), day(60), None)
    times = piece.table.column("event_time").cast(pa.int64()).to_numpy()
    ids = piece.table.column("transaction_id").to_pylist()
    sent = set(piece.known.slice(0, piece.first).column("transaction_id").to_pylist())
    pending = {event.id: event.time + LABEL_DELAY_MS for event in EVENTS if event.fraud and event.merchant}
    pending = {
        name: known for name, known in pending.items() if known > day(40).timestamp() * 1000 or name not in sent
    }
    expected_start = 0
    for step in piece.steps(day(40), 16):
        assert step.start == expected_start
        assert step.start < step.stop <= step.start + 16
        for name, known in zip(step.labels.transaction_id, step.labels.known_ms, strict=True):
            assert known <= times[: step.start + 1].max()
            assert name in sent
            assert pending.pop(name) == known
        for row in range(step.start, step.stop):
            clock = times[: row + 1].max()
            assert not [name for name, known in pending.items() if known <= clock and name in sent]
            sent.add(ids[row])
        expected_start = step.stop
    assert expected_start == len(piece.table)


def test_a_feature_that_differs_is_found_and_shown(
    replayer: Replayer, service: FakeService, history: Path
) -> None:
    wrong = next(event for event in EVENTS if event.time >= day(52).timestamp() * 1000)
    service.skewed[wrong.id] = 1e-9
    report = replayer.run(history, WEEK)
    assert not report.ok
    differences = report.features["hour_of_day"]
    assert differences.count == 1
    assert differences.examples[0].transaction_id == wrong.id
    assert differences.examples[0].online == differences.examples[0].offline + 1e-9
    assert f"│ {wrong.id}" in text_of(report)
    assert "NOT EQUAL" in text_of(report)


@pytest.mark.parametrize(("offset", "differ"), [(1e-5, SENT), (1e-8, 0)])
def test_scores_may_differ_by_rounding_alone(
    replayer: Replayer, service: FakeService, history: Path, offset: float, differ: int
) -> None:
    service.lr_offset = offset
    report = replayer.run(history, WEEK)
    assert (report.scores["lr"].count, report.scores["ensemble"].count) == (differ, differ)
    assert report.scores["xgb"].count == 0
    assert report.ok == (differ == 0)


def test_the_ensemble_is_compared_with_the_weights_that_are_served(
    replayer: Replayer, service: FakeService, history: Path
) -> None:
    service.weights = Weights(lr=3, xgb=1)
    assert_equal(replayer.run(history, WEEK), SENT)


def test_degraded_answers_are_counted_and_not_compared(
    replayer: Replayer, service: FakeService, history: Path
) -> None:
    service.degraded = ("feature_store",)
    report = replayer.run(history, WEEK)
    assert report.degraded == {"feature_store": SENT}
    assert (report.decided, report.compared, report.ok) == (SENT, 0, False)


def test_failed_requests_are_counted_with_their_reason(
    replayer: Replayer, service: FakeService, history: Path
) -> None:
    service.fails = True
    report = replayer.run(history, WEEK)
    assert report.failures == {"overloaded": SENT}
    assert (report.decided, report.ok) == (0, False)
    assert "too many wait" in text_of(report)


def test_decisions_are_judged_by_the_labels(replayer: Replayer, service: FakeService, history: Path) -> None:
    service.rules = (Rule(id="large", when="amount > 500", reason="large"),)
    metrics = replayer.run(history, WEEK).decisions
    week = [event for event in EVENTS if day(50).timestamp() <= event.time / 1000 < day(57).timestamp()]
    large = [event for event in week if event.amount > 50_000]
    assert metrics.labelled == SENT
    assert metrics.tiers["BLOCK"].frauds >= sum(event.fraud for event in large)
    assert metrics.tiers["BLOCK"].fraud_amount_minor >= sum(event.amount for event in large if event.fraud)
    assert sum(outcome.frauds for outcome in metrics.tiers.values()) == sum(event.fraud for event in week)


def test_a_store_that_knows_something_is_refused_and_left_alone(
    replayer: Replayer, client: "redis.Redis", history: Path
) -> None:
    client.set(key_prefix() + b"c:ann", "live")
    with pytest.raises(ReplayRefused, match=r"holds 1 keys .* --clear"):
        replayer.run(history, WEEK)
    assert client.get(key_prefix() + b"c:ann") == b"live"


def test_clear_deletes_the_keys_of_these_definitions_alone(
    replayer: Replayer, client: "redis.Redis", history: Path
) -> None:
    client.set(key_prefix() + b"c:c1", "live")
    client.set("another", "stays")
    report = replayer.run(history, WEEK, clear=True)
    assert report.cleared == 1
    assert_equal(report, SENT)
    assert client.get("another") == b"stays"


def test_nothing_is_cleared_for_a_replay_that_cannot_begin(
    replayer: Replayer, service: FakeService, client: "redis.Redis", history: Path
) -> None:
    client.set(key_prefix() + b"c:ann", "live")
    service.ready = False
    with pytest.raises(ServiceUnavailable, match="is not ready: features: the store sleeps"):
        replayer.run(history, WEEK, clear=True)
    assert client.get(key_prefix() + b"c:ann") == b"live"


def test_a_service_that_is_down_is_named(bundle: Bundle, valkey_socket: str, history: Path) -> None:
    attempts = []

    def refuse(request: httpx.Request) -> httpx.Response:
        attempts.append(request)
        raise httpx.ConnectError("connection refused")

    http = httpx.Client(base_url="http://tollgate.test", transport=httpx.MockTransport(refuse))
    replayer = Replayer(ScoringClient(http), FakeRegistry(bundle), f"unix://{valkey_socket}")
    with pytest.raises(ServiceUnavailable, match=r"tollgate.test does not answer \(connection refused\)"):
        replayer.run(history, WEEK)
    assert len(attempts) == 2


def test_an_answer_in_another_shape_is_named(bundle: Bundle, valkey_socket: str, history: Path) -> None:
    def another(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"hello": "world"})

    http = httpx.Client(base_url="http://tollgate.test", transport=httpx.MockTransport(another))
    replayer = Replayer(ScoringClient(http), FakeRegistry(bundle), f"unix://{valkey_socket}")
    with pytest.raises(ServiceUnavailable, match=r"GET /model .* no answer of Tollgate: name: Field required"):
        replayer.run(history, WEEK)


def test_other_feature_definitions_are_refused(replayer: Replayer, service: FakeService, history: Path) -> None:
    service.feature_fingerprint = "0123456789abcdef"
    with pytest.raises(ReplayRefused, match="computes the feature definitions 0123456789abcdef"):
        replayer.run(history, WEEK)


def test_a_service_that_missed_a_promotion_is_refused(
    replayer: Replayer, service: FakeService, history: Path
) -> None:
    service.version = "7"
    with pytest.raises(ReplayRefused, match="serves version 7 of 'tollgate', but 'champion' is version 1"):
        replayer.run(history, WEEK)


def test_an_unknown_alias_is_named(replayer: Replayer, history: Path) -> None:
    with pytest.raises(RegistryUnavailable, match="there is no challenger"):
        replace(replayer, model_alias="challenger").run(history, WEEK)


def test_an_empty_slice_is_named(replayer: Replayer, history: Path) -> None:
    with pytest.raises(InvalidHistory, match=r"no transactions from 2025-07-24 .* until its end"):
        replayer.run(history, Period(day(80)))


def test_a_slice_without_labels_is_named(replayer: Replayer, tmp_path: Path) -> None:
    table = history_table(EVENTS)
    nothing = pa.nulls(len(table), pa.int8())
    unlabelled = table.set_column(
        table.schema.get_field_index("is_fraud"), table.schema.field("is_fraud"), nothing
    )
    with pytest.raises(InvalidHistory, match="has a label to judge decisions by"):
        replayer.run(write_history(tmp_path / "unlabelled", unlabelled), WEEK)


@pytest.mark.parametrize("chunk", [0, 1001])
def test_a_request_of_a_wrong_size_is_refused(replayer: Replayer, history: Path, chunk: int) -> None:
    with pytest.raises(ReplayRefused, match="1 to 1,000 transactions"):
        replayer.run(history, WEEK, chunk=chunk)


def test_a_store_that_is_down_is_named(replayer: Replayer, history: Path) -> None:
    with pytest.raises(OnlineStoreUnavailable, match="did not answer"):
        replace(replayer, redis_url="redis://127.0.0.1:1/0").run(history, WEEK)
