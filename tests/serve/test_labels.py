"""Labels over HTTP: a merchant's risk rises with a fraud that became known, and falls when it is taken back."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from features.definitions import FEATURE_NAMES
from features.offline import offline_matrix
from tests.serve.conftest import Stack
from tests.serve.test_decisions import Json, eventually, payment
from training.arrivals import Arrivals

pytestmark = pytest.mark.serve


def test_a_label_changes_the_risk_of_its_merchant_until_it_is_corrected(stack: Stack) -> None:
    with httpx.Client(base_url=stack.http, timeout=30) as client:
        check_labels(client, "labelled-shop")


def test_the_labels_of_a_file_reach_the_merchant(stack: Stack, tmp_path: Path) -> None:
    then = (datetime.now(UTC) - timedelta(days=10)).isoformat()
    rows = [f"from-a-file-{i},{then},shop-of-the-file,1" for i in range(3)]
    (tmp_path / "labels.csv").write_text("\n".join(["transaction_id,timestamp,merchant_id,is_fraud", *rows, "x"]))
    command = ("labels", str(tmp_path / "labels.csv"), "--source", "chargeback")
    posted = stack.tollgate(*command)
    assert (posted.returncode, "3 new, 1 no_row" in posted.stderr) == (1, True), posted.stderr
    assert "Row 4 was not taken: has 1 cells where the header has 4" in posted.stderr
    (tmp_path / "labels.csv").write_text("\n".join(["transaction_id,timestamp,merchant_id,is_fraud", *rows]))
    posted = stack.tollgate(*command)
    assert (posted.returncode, "3 repeated" in posted.stderr) == (0, True), posted.stderr
    with httpx.Client(base_url=stack.http, timeout=30) as client:
        frauds, _ = risk(client, "shop-of-the-file")
    assert frauds == 3


def test_what_was_decided_and_labelled_is_a_history_to_train_on(stack: Stack, tmp_path: Path) -> None:
    """The features of a payment, computed from the history, are those that it was decided by."""
    now = datetime.now(UTC)
    paid = [
        payment(
            transaction_id=f"history-{now.timestamp()}-{i}",
            customer_id=f"history-{now.timestamp()}",
            merchant_id="shop-of-the-history",
            timestamp=(now - timedelta(days=10, minutes=-i)).isoformat(),
        )
        for i in range(6)
    ]
    with httpx.Client(base_url=stack.http, timeout=30) as client:
        for body in paid:
            assert client.post("/predict", json=body).status_code == 200
        for taken, is_fraud in ((paid[0], True), (paid[1], True), (paid[1], False)):
            answer = client.post("/labels", json=label(taken, is_fraud=is_fraud))
            assert answer.json()["outcome"] in ("new", "corrected")
        # A second ahead: it sees the labels that were known before it.
        then = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        later = {**paid[0], "transaction_id": f"later-{now.timestamp()}", "timestamp": then}
        served = client.post("/predict?include=features", json=later).json()
    assert served["degraded"] == []
    drained = stack.tollgate("drain")
    assert drained.returncode == 0, drained.stderr
    long_ago = ("--genuine-after", "0", "--labels-since", "2000-01-01")
    made = stack.tollgate("history", "--out", str(tmp_path / "history"), *long_ago)
    assert made.returncode == 0, made.stderr
    arrivals = Arrivals.of(tmp_path / "history")
    history = arrivals.rows(0, len(arrivals))
    rows = {row["transaction_id"]: at for at, row in enumerate(history.to_pylist())}
    labelled = [history.column("known_labels")[rows[body["transaction_id"]]].as_py() for body in paid[:3]]
    assert [[verdict["is_fraud"] for verdict in told] for told in labelled] == [[1], [1, 0], []]
    assert history.column("is_fraud")[rows[paid[0]["transaction_id"]]].as_py() == 1
    features = dict(zip(FEATURE_NAMES, offline_matrix(history)[rows[later["transaction_id"]]], strict=True))
    assert features == served["features"]
    assert (features["merchant_fraud_count_30d"], features["count_last_30d"]) == (1, 6)


def check_labels(client: httpx.Client, merchant: str) -> None:
    """Check that the risk of a merchant that nobody has seen follows the labels of its payments."""
    before_all, then = datetime.now(UTC), datetime.now(UTC) - timedelta(days=10)
    paid = [
        payment(transaction_id=f"{merchant}-{i}", merchant_id=merchant, timestamp=then.isoformat())
        for i in range(4)
    ]
    assert client.post("/predict/batch", json=paid).json()["decided"] == 4
    assert risk(client, merchant) == (0, 0)

    answer = client.post("/labels", json=[label(paid[0]), label(paid[1]), {"transaction_id": "half"}])
    assert answer.status_code == 200, answer.text
    assert [result.get("outcome") for result in answer.json()["results"]] == ["new", "new", None]
    assert risk(client, merchant) == (2, 0.5)
    assert client.post("/labels", json=label(paid[0])).json()["outcome"] == "repeated"
    assert risk(client, merchant) == (2, 0.5)

    withdrawn = client.post("/labels", json=label(paid[0], is_fraud=False, source="analyst"))
    assert withdrawn.json()["outcome"] == "corrected"
    assert risk(client, merchant) == (1, 0.25)
    assert risk(client, merchant, before_all) == (0, 0), "a payment of before sees no label of after"

    other = client.post("/labels", json=label(paid[1], merchant_id="another"))
    assert (other.status_code, other.json()["error"]["code"]) == (409, "label_conflict")
    refused = client.post("/labels", json=label(paid[2], source="rumour"))
    assert (refused.status_code, refused.json()["error"]["details"][0]["field"]) == (422, "source")


def label(paid: Json, **fields: object) -> Json:
    known = {name: paid[name] for name in ("transaction_id", "merchant_id", "timestamp")}
    return {**known, "is_fraud": True, "source": "chargeback", **fields}


def risk(client: httpx.Client, merchant: str, moment: datetime | None = None) -> tuple[float, float]:
    """Return frauds and fraud rate of the merchant in 30 days, as a payment of now, or of a moment, sees them."""
    # A second ahead: a payment sees the labels that were known before it, to the millisecond.
    timestamp = moment or datetime.now(UTC) + timedelta(seconds=1)
    body = payment(merchant_id=merchant, timestamp=timestamp.isoformat())
    answers: list[Json] = []

    def is_whole() -> bool:
        """A store that a busy machine held up for too long is asked again, as another payment."""
        body["transaction_id"] = f"asks-{time.monotonic_ns()}"
        answers.append(client.post("/predict", params={"include": "features"}, json=body).json())
        return answers[-1]["degraded"] == []

    eventually(is_whole, "an answer with history")
    features = answers[-1]["features"]
    return features["merchant_fraud_count_30d"], features["merchant_fraud_rate_30d"]
