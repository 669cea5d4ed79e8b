"""The client: the same request until it is decided, at a steady rate, whatever becomes of it."""

import asyncio
from collections.abc import Callable

import httpx

from loadtests.chaos.client import Client, Habits
from loadtests.chaos.payments import payments
from tests.unit.loadtests.chaos.fakes import Service, a_payment, asked, broken_connection, busy

STEADY = Habits(rate=2000, twice=0, again=0)


def client_of(service: Callable[[httpx.Request], httpx.Response], habits: Habits = STEADY) -> Client:
    return Client(["http://service"], payments("t", 1), habits, 1, httpx.MockTransport(service), pause_s=0.0)


async def test_a_busy_service_and_a_broken_connection_are_tried_again_with_the_same_bytes() -> None:
    service = Service({0: busy, 1: broken_connection})
    one = asked()
    async with client_of(service) as client:
        answer = await client.decide(one)
    assert answer is not None
    assert [attempt.status for attempt in one.attempts] == [503, 0, 200]
    assert service.bodies == [one.payment.body] * 3
    assert one.attempts[0].retry_after


async def test_a_payment_is_given_up_when_patience_ends() -> None:
    service = Service(dict.fromkeys(range(100), busy))
    one = asked()
    async with client_of(service, Habits(rate=1, patience_s=0.0)) as client:
        assert await client.decide(one) is None
    assert one.told is None


async def test_the_load_goes_on_while_answers_fail() -> None:
    service = Service(dict.fromkeys(range(5), broken_connection))
    ended = asyncio.Event()

    def until_twenty(request: httpx.Request) -> httpx.Response:
        if len(service.bodies) == 20:
            ended.set()
        return service(request)

    async with client_of(until_twenty) as client:
        await client.send_until(ended)
        await client.settle()
        assert len(client.asked) > 10
        assert all(one.told is not None for one in client.asked)


async def test_copies_and_repetitions_carry_the_same_id_and_are_duplicates() -> None:
    service = Service()
    async with client_of(service, Habits(rate=1, twice=1, again=1)) as client:
        client.send()
        await client.settle()
        await client.repeat_all()
        [one] = client.asked
    assert len(set(service.bodies)) == 1
    assert [attempt.duplicate for attempt in one.attempts] == [False, True, True, True]


async def test_what_was_never_decided_is_not_repeated_in_the_end() -> None:
    service = Service()
    async with client_of(service) as client:
        client.asked.append(asked())
        await client.repeat_all()
    assert service.bodies == []


async def test_a_body_that_is_no_json_is_an_attempt_without_a_decision() -> None:
    service = Service({0: lambda: httpx.Response(500, text="<html>")})
    one = asked()
    async with client_of(service) as client:
        await client.decide(one)
    assert [attempt.status for attempt in one.attempts] == [500, 200]
    assert one.payment == a_payment()


async def test_an_address_that_does_not_answer_is_followed_by_the_next_and_a_busy_one_is_asked_again() -> None:
    hosts: list[str] = []
    service = Service({0: broken_connection, 1: busy})

    def noted(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return service(request)

    urls = ["http://one", "http://two"]
    async with Client(urls, payments("t", 1), STEADY, 1, httpx.MockTransport(noted), pause_s=0.0) as client:
        await client.decide(asked())
        await client.decide(asked())
    assert hosts == ["one", "two", "two", "two"]


async def test_headers_of_the_place_come_with_each_request() -> None:
    keys: list[str] = []
    service = Service()

    def noted(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["authorization"])
        return service(request)

    transport, headers = httpx.MockTransport(noted), {"authorization": "Bearer x"}
    async with Client(["http://one"], payments("t", 1), STEADY, 1, transport, headers=headers) as client:
        await client.decide(asked())
    assert keys == ["Bearer x"]
