"""POST /labels over a stand-in for the store: one or many, good and bad, and a store that is down."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from deployments.ingress import Ingress
from deployments.label_document import (
    EXAMPLE_CORRECTION,
    EXAMPLE_LABEL,
    EXAMPLE_LABEL_RESULT,
    EXAMPLE_LABELS_RESPONSE,
    LabelResult,
    LabelsResponse,
)
from deployments.labels import NO_MERCHANT, OUT_OF_REACH, LabelIntake
from deployments.settings import IngressSettings
from features.errors import OnlineStoreUnavailable
from features.label import LABELS_A_CALL, Label, LabelBatch, LabelOutcome
from tests.unit.deployments.graph import FeaturesHandle, LogHandle, RouterHandle

NOW_S = 1_780_000_000.25  # 2026-05-28T20:26:40.250Z
DOWN = OnlineStoreUnavailable("the online store did not answer")
Json = dict[str, Any]


def label(number: int = 0, **fields: object) -> Json:
    return {**EXAMPLE_LABEL, "transaction_id": f"t{number}", "timestamp": "2026-05-20T10:00:00Z", **fields}


class Intake:
    """A label intake over a stand-in for the store, at a fixed time; remembers what was counted."""

    def __init__(self, features: FeaturesHandle | None = None, **bounds: Any) -> None:
        self.features = features or FeaturesHandle()
        self.counted: list[tuple[str, str, int]] = []
        settings = IngressSettings(**bounds)
        self._intake = LabelIntake(self._take, lambda: settings, self._count, lambda: NOW_S)

    async def post(self, value: Any, query: bytes = b"") -> tuple[int, Any]:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        answer = await self._intake.answer(body, query)
        assert ((b"retry-after", b"1") in answer.headers()) == (answer.status == 503)
        return answer.status, json.loads(answer.body)

    async def _take(self, labels: LabelBatch) -> list[LabelOutcome]:
        outcomes: list[LabelOutcome] = await self.features.take_labels.remote(labels)
        return outcomes

    def _count(self, outcome: str, source: str, count: int) -> None:
        self.counted.append((outcome, source, count))


async def test_one_label_gets_its_own_answer_and_is_known_now() -> None:
    intake = Intake()
    assert await intake.post(label()) == (
        200,
        {
            "transaction_id": "t0",
            "outcome": "new",
            "is_fraud": True,
            "known_at": "2026-05-28T20:26:40.250Z",
            "note": None,
        },
    )
    [taken] = intake.features.taken
    assert taken.known_ms.tolist() == [int(NOW_S * 1000)]
    assert intake.counted == [("new", "chargeback", 1)]


async def test_a_label_says_itself_when_it_became_known() -> None:
    intake = Intake()
    status, result = await intake.post(label(known_at=1_779_990_000))
    assert (status, result["known_at"]) == (200, "2026-05-28T17:40:00.000Z")
    assert intake.features.taken[0].known_ms.tolist() == [1_779_990_000_000]


@pytest.mark.parametrize("outcome", [LabelOutcome.REPEATED, LabelOutcome.CORRECTED, LabelOutcome.SUPERSEDED])
async def test_what_became_of_a_label_is_told(outcome: LabelOutcome) -> None:
    intake = Intake(FeaturesHandle(outcomes={"t0": outcome}))
    status, result = await intake.post(label(source="analyst"))
    assert (status, result["outcome"]) == (200, outcome.name.lower())
    assert intake.counted == [(outcome.name.lower(), "analyst", 1)]


async def test_a_label_that_contradicts_an_earlier_one_is_409() -> None:
    intake = Intake(FeaturesHandle(outcomes={"t0": LabelOutcome.CONFLICT}))
    status, answer = await intake.post(label())
    assert (status, answer["error"]["code"]) == (409, "label_conflict")
    assert "merchant_id" in answer["error"]["message"]
    assert intake.counted == [("conflict", "chargeback", 1)]


async def test_a_label_that_counts_nowhere_says_why() -> None:
    intake = Intake()
    items = [label(merchant_id=None), label(timestamp="2026-04-01T00:00:00Z"), label()]
    _, answer = await intake.post(items)
    assert [result["note"] for result in answer["results"]] == [NO_MERCHANT, OUT_OF_REACH, None]


async def test_each_item_of_an_array_has_its_own_result_or_error_in_order() -> None:
    intake = Intake(FeaturesHandle(outcomes={"t3": LabelOutcome.CONFLICT}))
    items = [
        label(0),
        {"transaction_id": "t1"},
        label(2, colour="red"),
        label(3),
        7,
        label(5, known_at=0),
        label(6),
    ]
    status, answer = await intake.post(items)
    assert (status, answer["taken"], answer["failed"]) == (200, 2, 5)
    assert [result["index"] for result in answer["results"]] == list(range(7))
    codes = [result.get("error", {}).get("code") for result in answer["results"]]
    assert codes == [
        None,
        "invalid_label",
        "invalid_label",
        "label_conflict",
        "invalid_label",
        "invalid_label",
        None,
    ]
    messages = [result["error"]["message"] for result in answer["results"] if "error" in result]
    assert messages[0] == "timestamp: is required; is_fraud: is required; source: is required"
    assert messages[1] == "colour: is not a field of a label"
    assert messages[4].startswith("known_at: must lie between")
    [taken] = intake.features.taken
    assert taken.transaction_id == ["t0", "t3", "t6"]


async def test_a_request_without_a_good_label_does_not_reach_the_store() -> None:
    intake = Intake()
    status, answer = await intake.post([{}])
    assert (status, answer["taken"], answer["failed"]) == (200, 0, 1)
    assert intake.features.taken == intake.counted == []


async def test_many_labels_go_to_the_store_in_parts_and_in_order() -> None:
    intake = Intake()
    count = 2 * LABELS_A_CALL + 1
    _, answer = await intake.post([label(number) for number in range(count)])
    assert (answer["taken"], answer["failed"]) == (count, 0)
    assert [len(part) for part in intake.features.taken] == [LABELS_A_CALL, LABELS_A_CALL, 1]
    assert [result["transaction_id"] for result in answer["results"]] == [f"t{n}" for n in range(count)]


@pytest.mark.parametrize("many", [False, True])
async def test_a_store_that_is_down_is_503_with_a_pause_to_wait(many: bool) -> None:
    intake = Intake(FeaturesHandle(errors={0: DOWN}))
    status, answer = await intake.post([label()] if many else label())
    assert (status, answer["error"]["code"]) == (503, "unavailable")


async def test_a_store_that_goes_down_midway_leaves_what_was_taken() -> None:
    intake = Intake(FeaturesHandle(errors={1: DOWN}))
    status, answer = await intake.post([label(number) for number in range(3 * LABELS_A_CALL)])
    assert (status, answer["taken"], answer["failed"]) == (200, LABELS_A_CALL, 2 * LABELS_A_CALL)
    assert answer["results"][LABELS_A_CALL]["error"]["code"] == "unavailable"
    assert len(intake.features.taken) == 2


@pytest.mark.parametrize(
    ("body", "query", "status", "code"),
    [
        (b"{", b"", 400, "invalid_json"),
        (b"", b"", 400, "invalid_json"),
        (b"[]", b"", 422, "invalid_label"),
        (b"7", b"", 422, "invalid_label"),
        (b"{}", b"include=features", 422, "invalid_label"),
        (json.dumps({str(n): n for n in range(100_000)}).encode(), b"", 422, "invalid_label"),
        (json.dumps([{}] * 4).encode(), b"", 422, "invalid_label"),
    ],
)
async def test_what_is_no_request_is_refused_as_a_whole(body: bytes, query: bytes, status: int, code: str) -> None:
    found, answer = await Intake(max_items=3).post(body, query)
    assert (found, answer["error"]["code"]) == (status, code)
    assert len(json.dumps(answer)) < 1000


async def test_a_defect_is_500_and_says_nothing_of_itself() -> None:
    status, answer = await Intake(FeaturesHandle(errors={0: KeyError("secret")})).post(label())
    assert (status, answer["error"]["code"]) == (500, "internal")
    assert "secret" not in json.dumps(answer)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    ingress = Ingress(RouterHandle(), FeaturesHandle(), LogHandle())
    app = ingress.in_front_of(ingress.__serve_build_asgi_app__())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tollgate") as requests:
        yield requests


async def test_labels_over_http(http: httpx.AsyncClient) -> None:
    one = await http.post("/labels", json=EXAMPLE_LABEL)
    many = await http.post("/labels", json=[EXAMPLE_LABEL, {}])
    assert (one.status_code, one.json()["outcome"]) == (200, "new")
    assert (many.status_code, many.json()["taken"], many.json()["failed"]) == (200, 1, 1)
    assert (await http.get("/labels")).status_code == 405
    assert (await http.post("/labels", content=b"x" * (8 * 2**20 + 1))).status_code == 413


async def test_the_document_describes_labels_by_true_examples(http: httpx.AsyncClient) -> None:
    route = (await http.get("/openapi.json")).json()["paths"]["/labels"]["post"]
    content = route["requestBody"]["content"]["application/json"]
    assert [example["value"] for example in content["examples"].values()] == [
        EXAMPLE_LABEL,
        EXAMPLE_CORRECTION,
        [EXAMPLE_LABEL],
    ]
    assert route["responses"].keys() >= {"200", "400", "409", "413", "422", "503"}
    for example in (EXAMPLE_LABEL, EXAMPLE_CORRECTION):
        Label.model_validate_json(json.dumps(example))
    LabelResult.model_validate(EXAMPLE_LABEL_RESULT)
    LabelsResponse.model_validate(EXAMPLE_LABELS_RESPONSE)
    answer = (await http.post("/labels", json=[EXAMPLE_LABEL, {"transaction_id": "t"}])).json()
    assert LabelsResponse.model_validate(answer).failed == 1
    assert answer["results"][0].keys() == EXAMPLE_LABELS_RESPONSE["results"][0].keys()
