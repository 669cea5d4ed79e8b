"""How transactions flow through the service: together, in chunks, under overload, and past errors of the graph."""

import asyncio
import json

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from deployments.hot_route import Answer
from deployments.settings import BatchSettings, IngressSettings
from tests.unit.deployments.batches import Account, settle
from tests.unit.deployments.bodies import GOOD, encode, error_of, good, scoring
from tests.unit.deployments.graph import Graph
from tests.unit.deployments.service import Service


async def test_a_batch_is_decided_in_chunks_in_order_and_each_keeps_its_index() -> None:
    graph = Graph()
    items = [good(transaction_id=f"t{n}", amount=n + 1) for n in range(10)]
    items[3] = {}
    items[9]["amount"] = "x"
    service = scoring(graph, batch=BatchSettings(max_size=3))
    body = json.loads((await service.predict_batch(encode(items), b"")).body)
    assert graph.seen == [["t0", "t1", "t2"], ["t4", "t5", "t6"], ["t7", "t8"]]
    assert (body["decided"], body["failed"]) == (8, 2)
    for index, row in enumerate(body["results"]):
        assert row["index"] == index
        assert ("error" in row) == (index in (3, 9))
        if "error" not in row:
            assert (row["transaction_id"], row["fraud_probability"]) == (f"t{index}", (index + 1) / 1000)


async def test_in_chunks_the_answers_are_the_same() -> None:
    items = encode([good(transaction_id=f"t{n}", amount=n + 1) for n in range(20)] + [{}])
    whole = await scoring(Graph()).predict_batch(items, b"")
    for size in (1, 7, 20):
        chunked = await scoring(Graph(), batch=BatchSettings(max_size=size)).predict_batch(items, b"")
        assert chunked.body == whole.body


async def test_requests_that_travel_together_get_each_their_own_answer() -> None:
    graph = Graph()
    service = scoring(graph)
    first, batch, last = await asyncio.gather(
        service.predict(encode(good(transaction_id="a", amount=10)), b""),
        service.predict_batch(
            encode([good(transaction_id="b", amount=20), good(transaction_id="c", amount=30)]), b""
        ),
        service.predict(encode(good(transaction_id="d", amount=40)), b""),
    )
    # Single transactions and bulk requests wait apart, and go out together where there is room.
    assert graph.seen == [["a", "d", "b", "c"]]
    answers = [json.loads(first.body), *json.loads(batch.body)["results"], json.loads(last.body)]
    assert [(answer["transaction_id"], answer["fraud_probability"]) for answer in answers] == [
        ("a", 0.01),
        ("b", 0.02),
        ("c", 0.03),
        ("d", 0.04),
    ]


async def test_a_smaller_bound_that_comes_between_two_chunks_holds_for_the_next() -> None:
    graph = Graph(gate=asyncio.Event())
    service = scoring(graph, batch=BatchSettings(max_size=4))
    running = asyncio.create_task(service.predict_batch(encode([GOOD] * 9), b""))
    await graph.began.wait()
    service.reconfigure(IngressSettings(batch=BatchSettings(max_size=2)))
    assert graph.gate is not None
    graph.gate.set()
    assert json.loads((await running).body)["decided"] == 9
    assert [len(batch) for batch in graph.seen] == [4, 2, 2, 1]


async def test_new_bounds_reach_what_waits_for_a_slot() -> None:
    graph = Graph()
    service = await held(graph, Account())
    waits = asyncio.create_task(service.predict(encode(good(transaction_id="waits")), b""))
    await settle()
    assert graph.seen == [["holder"]]
    service.reconfigure(IngressSettings(batch=BatchSettings(slots=2)))
    await settle()
    assert graph.seen == [["holder"], ["waits"]]
    assert graph.gate is not None
    graph.gate.set()
    assert (await waits).status == 200


async def test_new_bounds_are_in_force_at_once() -> None:
    service = scoring(Graph())
    service.reconfigure(IngressSettings(max_items=1))
    assert service.settings.max_items == 1
    assert (await service.predict_batch(encode([GOOD] * 2), b"")).status == 422


async def overloaded(graph: Graph) -> tuple[Service, "asyncio.Task[Answer]", "asyncio.Task[Answer]"]:
    """Return a service whose one slot is held, whose lane of one is full, and the two requests that do it."""
    graph.gate = asyncio.Event()
    service = scoring(graph, batch=BatchSettings(max_size=1, slots=1, max_queue=1, max_bulk_queue=1))
    first = asyncio.create_task(service.predict(encode(GOOD), b""))
    await graph.began.wait()
    second = asyncio.create_task(service.predict(encode(GOOD), b""))
    await asyncio.sleep(0)
    return service, first, second


async def test_an_overload_is_503_with_a_pause_to_wait_and_harms_nobody_who_was_in() -> None:
    graph = Graph()
    service, *inside = await overloaded(graph)
    answer = await service.predict(encode(GOOD), b"")
    assert error_of(answer, 503)["code"] == "overloaded"
    assert (b"retry-after", b"1") in answer.headers()
    assert graph.gate is not None
    graph.gate.set()
    assert [(await request).status for request in inside] == [200, 200]
    assert len(graph.seen) == 2


async def test_a_batch_of_which_nothing_was_decided_is_503_as_a_whole() -> None:
    graph = Graph()
    service, *inside = await overloaded(graph)
    inside.append(asyncio.create_task(service.predict_batch(encode([GOOD]), b"")))
    await settle()
    answer = await service.predict_batch(encode([GOOD, {}]), b"")
    assert error_of(answer, 503)["code"] == "overloaded"
    assert (b"retry-after", b"1") in answer.headers()
    assert graph.gate is not None
    graph.gate.set()
    assert [(await request).status for request in inside] == [200] * 3
    assert len(graph.seen) == 3


async def test_after_a_chunk_that_failed_the_rest_of_the_batch_is_not_tried() -> None:
    graph = Graph(errors={1: ActorDiedError()})
    service = scoring(graph, batch=BatchSettings(max_size=2))
    answer = await service.predict_batch(encode([GOOD] * 3 + [{}] + [GOOD] * 4), b"")
    body = json.loads(answer.body)
    assert (answer.status, body["decided"], body["failed"]) == (200, 2, 6)
    codes = [row["error"]["code"] if "error" in row else "" for row in body["results"]]
    assert codes == ["", "", "unavailable", "invalid_transaction", *["unavailable"] * 4]
    assert len(graph.seen) == 2


async def test_an_unexpected_error_after_the_first_chunk_keeps_what_was_decided() -> None:
    service = scoring(Graph(errors={1: KeyError("secret")}), batch=BatchSettings(max_size=1))
    answer = await service.predict_batch(encode([GOOD] * 2), b"")
    body = json.loads(answer.body)
    assert (answer.status, body["decided"]) == (200, 1)
    assert body["results"][1]["error"]["code"] == "internal"


@pytest.mark.parametrize("route", ["predict", "predict_batch"])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ActorDiedError(), 503, "unavailable"),
        (RayTaskError("f", "Traceback: secret", OSError()), 500, "internal"),  # type: ignore[no-untyped-call]
        (KeyError("secret"), 500, "internal"),
        (AssertionError("secret"), 500, "internal"),
    ],
)
async def test_an_error_of_the_graph_is_answered_in_the_one_shape_and_the_service_goes_on(
    error: Exception, status: int, code: str, route: str
) -> None:
    service = scoring(Graph(errors={0: error}))
    body = encode(GOOD if route == "predict" else [GOOD])
    answer = await getattr(service, route)(body, b"")
    assert error_of(answer, status)["code"] == code
    assert b"secret" not in answer.body
    assert ((b"retry-after", b"1") in answer.headers()) == (status == 503)
    assert (await service.predict(encode(GOOD), b"")).status == 200


async def test_a_batch_that_is_not_decided_is_logged_once_and_without_a_stack(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = scoring(Graph(errors={0: ActorDiedError()}))
    answers = await asyncio.gather(*(service.predict(encode(GOOD), b"") for _ in range(5)))
    assert [answer.status for answer in answers] == [503] * 5
    [record] = caplog.records
    assert record.getMessage().startswith("a batch of 5 transactions was not decided: ActorDiedError")
    assert record.exc_info is None


async def test_batches_that_are_not_decided_in_time_are_not_logged_at_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = scoring(Graph(gate=asyncio.Event()), deadline_ms=10)
    assert (await service.predict(encode(GOOD), b"")).status == 503
    assert caplog.records == []


async def test_a_graph_that_never_answers_does_not_hold_its_slot_for_ever() -> None:
    graph = Graph(gate=asyncio.Event())
    service = scoring(graph, deadline_ms=10, batch=BatchSettings(slots=1))
    error = error_of(await service.predict(encode(GOOD), b""), 503)
    assert error["code"] == "overloaded"
    assert graph.gate is not None
    graph.gate.set()
    service.reconfigure(IngressSettings())
    assert (await service.predict(encode(GOOD), b"")).status == 200


async def test_a_payment_does_not_wait_for_a_hanging_graph_as_long_as_a_bulk_request_beside_it_may() -> None:
    graph = Graph(gate=asyncio.Event())
    service = scoring(graph, deadline_ms=10, bulk_deadline_ms=600_000, batch=BatchSettings(slots=1))
    async with asyncio.timeout(30):
        payment, bulk = await asyncio.gather(
            service.predict(encode(GOOD), b""), service.predict_batch(encode([GOOD, GOOD]), b"")
        )
    assert [len(batch) for batch in graph.seen] == [3]
    assert (payment.status, bulk.status) == (503, 503)


def array(*names: str) -> bytes:
    return encode([good(transaction_id=name) for name in names])


async def test_the_observer_of_the_service_hears_of_its_batches() -> None:
    account = Account()
    service = scoring(Graph(), account)
    await service.predict(encode(GOOD), b"")
    await service.predict_batch(array("a", "b", "c"), b"")
    assert account.sizes == [1, 3]
    assert [failed for _, failed in account.ended_with] == [False, False]


async def held(graph: Graph, account: Account, size: int = 4, queue: int = 4) -> Service:
    """Return a service whose one slot is held until the gate opens."""
    graph.gate = asyncio.Event()
    batch = BatchSettings(max_size=size, slots=1, max_queue=queue, max_bulk_queue=queue)
    service = scoring(graph, account, batch=batch)
    holder = asyncio.create_task(service.predict(encode(good(transaction_id="holder")), b""))
    await graph.began.wait()
    assert not holder.done()
    return service


async def test_a_client_who_left_while_it_waited_is_not_decided_and_its_neighbours_are() -> None:
    graph, account = Graph(), Account()
    service = await held(graph, account)
    left: list[bool] = []
    body = encode(good(transaction_id="left"))
    leaves = asyncio.create_task(service.predict(body, b"", lambda: bool(left)))
    waits = asyncio.create_task(service.predict(encode(good(transaction_id="waits")), b"", lambda: False))
    await settle()
    left.append(True)
    assert graph.gate is not None
    graph.gate.set()
    assert (await waits).status == 200
    assert error_of(await leaves, 503)["code"] == "overloaded"
    assert graph.seen == [["holder"], ["waits"]]
    assert account.lost == {"abandoned": 1}


async def test_of_a_bulk_request_that_is_cancelled_nothing_more_is_decided() -> None:
    # As Serve does when the client of a bulk request leaves.
    graph, account = Graph(), Account()
    service = await held(graph, account, size=2)
    bulk = asyncio.create_task(service.predict_batch(array("a", "b", "c"), b""))
    await settle()
    bulk.cancel()
    assert graph.gate is not None
    graph.gate.set()
    await settle()
    assert graph.seen == [["holder"]]
    assert account.lost == {"abandoned": 2}


async def test_while_bulk_requests_fill_their_lane_single_ones_are_taken_and_decided_first() -> None:
    graph, account = Graph(), Account()
    service = await held(graph, account)
    bulks = [asyncio.create_task(service.predict_batch(array(*("b" * 4)), b"")) for _ in range(3)]
    await settle()
    assert account.lost == {"refused": 8}
    singles = [asyncio.create_task(service.predict(encode(good(transaction_id="s")), b"")) for _ in range(4)]
    await settle()
    assert account.lost == {"refused": 8}
    assert graph.gate is not None
    graph.gate.set()
    assert [(await single).status for single in singles] == [200] * 4
    assert sorted([(await bulk).status for bulk in bulks]) == [200, 503, 503]
    assert graph.seen == [["holder"], ["s"] * 4, ["b"] * 4]


async def test_a_bulk_request_is_its_transactions_heavy() -> None:
    graph, account = Graph(), Account()
    service = await held(graph, account, queue=7)
    first, second = (asyncio.create_task(service.predict_batch(array(*names), b"")) for names in ("abcd", "efgh"))
    await settle()
    third = asyncio.create_task(service.predict_batch(array(*"ijk"), b""))
    await settle()
    assert graph.gate is not None
    graph.gate.set()
    assert [(await answer).status for answer in (first, second, third)] == [200, 503, 200]
    assert graph.seen == [["holder"], [*"abcd"], [*"ijk"]]
