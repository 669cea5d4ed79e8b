"""The client of a live Tollgate: what a replay asks of the service, and the service's answers as types."""

from typing import Any, Final, Literal

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from features.errors import TollgateError
from features.faults import first_fault
from training.bundle import Thresholds

ATTEMPTS: Final = 2
"""Sending again mends a connection that the proxy closed, and counts no transaction_id twice."""


class ServiceUnavailable(TollgateError):
    """The service under replay does not answer, is not ready, or answers something else than Tollgate does."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class ModelScores(_Part):
    """Score of each model; None where it did not answer."""

    lr: float | None
    xgb: float | None


class Answer(_Part):
    """The decision on one transaction, with its feature vector."""

    transaction_id: str
    prediction: Literal["FRAUD", "LEGIT"]
    decision: Literal["BLOCK", "REVIEW", "APPROVE"]
    fraud_probability: float | None
    model_scores: ModelScores
    model_version: str
    degraded: tuple[str, ...]
    features: dict[str, float]


class Failure(_Part):
    """Why a transaction was not decided."""

    code: str
    message: str


class _Failed(_Part):
    error: Failure


class Weights(_Part):
    """Weights of the served ensemble; they are divided by their sum."""

    lr: float
    xgb: float


class _Policy(_Part):
    weights: Weights | None = None
    thresholds: Thresholds | None = None


class ServedModel(_Part):
    """What the service says of the model that it serves."""

    name: str
    version: str
    fingerprint: str
    policy: _Policy


class _Items(_Part):
    results: list[Answer | _Failed]


class ScoringClient:
    """Sends transactions, one request at a time, so that they arrive in the order given.

    Args:
        http: a client whose base address is that of the service.
    """

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def served_model(self) -> ServedModel:
        """Return the model in service.

        Raises:
            ServiceUnavailable: the service does not answer, or is not ready; says which part is not.
        """
        ready = self._send("GET", "/ready")
        if ready.status_code != httpx.codes.OK:
            raise ServiceUnavailable(f"The service at {self._http.base_url} is not ready: {_not_ready(ready)}.")
        answer = self._send("GET", "/model")
        try:
            return ServedModel.model_validate_json(answer.content)
        except ValidationError as error:
            raise self._foreign("GET /model", answer, error) from error

    def predict_batch(self, bodies: list[dict[str, Any]]) -> list[Answer | Failure]:
        """Return the answer to each transaction, sent in one request.

        Raises:
            ServiceUnavailable: no connection, or an answer in a shape that is not Tollgate's.
        """
        answer = self._send("POST", "/predict/batch", bodies)
        if answer.status_code != httpx.codes.OK:
            return [_failure(answer)] * len(bodies)
        try:
            items = _Items.model_validate_json(answer.content).results
        except ValidationError as error:
            raise self._foreign("POST /predict/batch", answer, error) from error
        if len(items) != len(bodies):
            raise ServiceUnavailable(f"The service answered {len(items)} of {len(bodies)} transactions.")
        return [item.error if isinstance(item, _Failed) else item for item in items]

    def predict_each(self, bodies: list[dict[str, Any]]) -> list[Answer | Failure]:
        """Return the answer to each transaction, sent in a request of its own.

        Raises:
            ServiceUnavailable: as :meth:`predict_batch`.
        """
        return [self._predict(body) for body in bodies]

    def _predict(self, body: dict[str, Any]) -> Answer | Failure:
        answer = self._send("POST", "/predict", body)
        if answer.status_code != httpx.codes.OK:
            return _failure(answer)
        try:
            return Answer.model_validate_json(answer.content)
        except ValidationError as error:
            raise self._foreign("POST /predict", answer, error) from error

    def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        include = {"include": "features"} if body is not None else None
        failure: httpx.TransportError | None = None
        for _ in range(ATTEMPTS):
            try:
                return self._http.request(method, path, params=include, json=body)
            except httpx.TransportError as error:
                failure = error
        raise ServiceUnavailable(
            f"The service at {self._http.base_url} does not answer"
            f" ({str(failure) or type(failure).__name__}). Start it with `tollgate up`."
        ) from failure

    def _foreign(self, what: str, answer: httpx.Response, error: ValidationError) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"{what} at {self._http.base_url} answered {answer.status_code} with what is no answer of Tollgate:"
            f" {first_fault(error)}."
        )


def _failure(answer: httpx.Response) -> Failure:
    try:
        return _Failed.model_validate_json(answer.content).error
    except ValidationError:
        return Failure(code=f"http_{answer.status_code}", message=answer.text[:200])


def _not_ready(answer: httpx.Response) -> str:
    try:
        parts = answer.json()["dependencies"]
        return "; ".join(f"{name}: {part['detail']}" for name, part in parts.items() if not part["ok"])
    except (ValueError, KeyError, TypeError):
        return f"GET /ready answered {answer.status_code}"
