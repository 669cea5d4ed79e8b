"""Whether a system scores what it should: two known payments, compared with the bundle itself.

Speed means nothing where the answer is another. The first payment has no history, the second has the first. The
expected windows come from the same store, under customers that no system sees.
"""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from features.definitions import FEATURE_NAMES
from features.formulas import Matrix
from features.online import OnlineStore
from loadtests.compare.bodies import content_type, of_payments, of_vector, takes_vectors
from loadtests.compare.errors import PeerUnavailable
from loadtests.compare.payments import vectors
from loadtests.compare.systems import BodyKind, System
from training.bundle import Bundle

TOLERANCE: Final = 1e-6
TIMEOUT_S: Final = 30.0
PAUSE_S: Final = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What two known payments must score.

    Attributes:
        matrix: (2, d) their features.
        probability: (2,) of both models together.
    """

    matrix: Matrix
    probability: tuple[float, ...]


def expected(bundle: Bundle, store: OnlineStore) -> Expected:
    """Return the features and scores of the two payments, under a customer of its own."""
    matrix = vectors(store, known_payments())
    return Expected(matrix, tuple(bundle.score(matrix).ensemble.tolist()))


def known_payments() -> list[dict[str, Any]]:
    """Return two payments of a customer, a device and a merchant that are new each time, and alike otherwise."""
    name = uuid.uuid4().hex[:12]
    # On the minute, so that all calls within it make the same times.
    minute = time.time() // 60 * 60
    entities = {"customer_id": f"W-{name}", "device_id": f"W-{name}", "merchant_id": f"WM-{name}"}
    place = {"lat": 52.37, "long": 4.9}
    return [
        {"transaction_id": f"check-{name}-1", "timestamp": minute - 7200, "amount": 40.0, **entities, **place},
        {"transaction_id": f"check-{name}-2", "timestamp": minute - 600, "amount": 990.5, **entities, **place},
    ]


def check(system: System, url: str, bundle: Bundle, store: OnlineStore) -> None:
    """Return when a system's answers equal the bundle's to 1e-6.

    Raises:
        PeerUnavailable: they do not, or it refuses the request; with both scores, or its answer.
    """
    if system.check == "none":
        return
    want = expected(bundle, store)
    got = scores(system, url, bundle, want)
    # The windows of "first" hold no history, unless the client sends them.
    asked = 1 if system.check == "first" and not takes_vectors(system.body) else len(want.probability)
    if len(got) != asked:
        raise PeerUnavailable(f"refused: it was asked for {asked} scores and gave {len(got)}")
    for number, (one, other) in enumerate(zip(got, want.probability, strict=False), start=1):
        if not abs(one - other) <= TOLERANCE:
            raise PeerUnavailable(f"refused: it scores known payment {number} {one!r}, the bundle {other!r}")


def scores(system: System, url: str, bundle: Bundle, want: Expected) -> list[float]:
    """Return what a system scores the known payments, or the first of them alone.

    Raises:
        PeerUnavailable: it refuses the request, or its answer has another shape.
    """
    if takes_vectors(system.body):
        requests = [of_vector(system.body, row) for row in want.matrix.tolist()]
    elif system.rows > 1:
        requests = [of_payments(system.body, known_payments())]
    else:
        requests = [of_payments(system.body, [payment]) for payment in known_payments()]
    if system.check == "first" and not takes_vectors(system.body):
        requests = requests[:1]
    answers = [post(url, system.body, request) for request in requests]
    try:
        found = [score for answer in answers for score in read(system.body, answer, bundle)]
    except (KeyError, IndexError, TypeError, ValueError, pa.ArrowException) as error:
        raise PeerUnavailable(f"refused: its answer cannot be read ({error!r}): {answers[0][:200]!r}") from error
    return found


def answers(system: System, url: str, timeout_s: float) -> bool:
    """Return whether a system answers a request like those that it is measured with, within ``timeout_s`` seconds.

    Servers answer in the order of arrival, so what was sent before has been answered then, too.
    """
    end = time.monotonic() + timeout_s
    if takes_vectors(system.body):
        body = of_vector(system.body, [0.0] * len(FEATURE_NAMES))
    else:
        body = of_payments(system.body, known_payments()[:1])
    while (left_s := end - time.monotonic()) > 0:
        try:
            post(url, system.body, body, left_s)
        except PeerUnavailable:
            time.sleep(PAUSE_S)  # Polls a server that gives no notice.
        else:
            return True
    return False


def read(kind: BodyKind, answer: bytes, bundle: Bundle) -> list[float]:
    """Return the fraud probabilities in the body of an answer.

    Raises:
        KeyError, IndexError, TypeError, ValueError, pa.ArrowException: it has another shape.
    """
    if kind == "bulk_arrow":
        column = pa.ipc.open_stream(answer).read_all()["fraud_probability"]
        return list(map(float, column.to_pylist()))
    content = json.loads(answer)
    match kind:
        case "payment":
            return [float(content["fraud_probability"])]
        case "bulk_json":
            return [float(result["fraud_probability"]) for result in content["results"]]
        case "vector":
            return _combined([[content["lr"], content["xgb"]]], bundle)
        case "vectors":
            return _combined(content, bundle)
        case "tensor":
            return _combined([content["outputs"][0]["data"]], bundle)
        case "mlflow":
            return _combined(content["predictions"], bundle)


def _combined(rows: Sequence[Sequence[float]], bundle: Bundle) -> list[float]:
    lr, xgb = np.array(rows, np.float64).T
    combined: list[float] = bundle.combine(lr, xgb).tolist()
    return combined


def post(url: str, kind: BodyKind, body: bytes, timeout_s: float = TIMEOUT_S) -> bytes:
    """Return the body of the answer.

    Raises:
        PeerUnavailable: it is no success, or none comes.
    """
    media = content_type(kind)
    try:
        answer = httpx.post(url, content=body, headers={"content-type": media, "accept": media}, timeout=timeout_s)
    except httpx.TransportError as error:
        raise PeerUnavailable(f"no answer at {url}: {error}") from error
    if answer.status_code != httpx.codes.OK:
        raise PeerUnavailable(f"not served here: {url} answers {answer.status_code}: {answer.text[:160]}")
    return answer.content
