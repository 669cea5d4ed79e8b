"""The table of what is compared: each system, what it does, how it is started, and with what settings.

Order is that of the tables and of the plot. The placeholders of a command are ``{bin}`` (the folder of the
environment's programs), ``{port}`` and ``{folder}`` (the system's own folder).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from loadtests.compare.errors import CompareError

BodyKind = Literal["payment", "bulk_json", "bulk_arrow", "vector", "vectors", "tensor", "mlflow"]
"""What one request holds: a payment, 500 of them, or the feature vector of one in a server's own form."""

Check = Literal["history", "first", "none"]
"""How far answers must equal the bundle's: with a history in the store, on a first payment, or not at all."""

BULK_ROWS: Final = 500
BULK_CONNECTIONS: Final = 16
"""Most connections in bulk: 8,000 payments under way, which is far past where throughput stops growing."""
REFERENCE: Final = "tollgate"
"""Ratios are Tollgate's figure by the other's."""


@dataclass(frozen=True, slots=True)
class Server:
    """How a peer is installed and run.

    Attributes:
        requirements: name of its pinned requirement file; None: it runs in the project's own environment.
        start: the command.
        ready: path that answers 200 when it serves.
        prepare: a command that writes what the server starts from, run once before it.
    """

    requirements: str | None
    start: tuple[str, ...]
    ready: str
    prepare: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class System:
    """One line of the comparison.

    Attributes:
        does: what one of its answers contains, in words.
        settings: what was chosen for throughput, in words.
        path: of the measured POST.
        server: None for what Tollgate's own stack answers.
        rows: payments a request.
    """

    name: str
    title: str
    does: str
    settings: str
    path: str
    body: BodyKind
    check: Check
    server: Server | None = None
    rows: int = 1

    def connections(self, asked: Iterable[int]) -> tuple[int, ...]:
        """Return the numbers of connections at which it is measured.

        >>> select(["tollgate_json_bulk"])[0].connections((1, 16, 64))
        (1, 16)
        """
        most = BULK_CONNECTIONS if self.rows > 1 else None
        return tuple(dict.fromkeys(c if most is None else min(c, most) for c in asked))


class UnknownSystem(CompareError):
    """There is no system of that name; the message lists those that are."""


def select(names: Iterable[str]) -> list[System]:
    """Return the systems of the given names in the order of the table, all when none is given.

    Raises:
        UnknownSystem: a name is not in the table.
    """
    wanted = set(names)
    if unknown := wanted - {system.name for system in SYSTEMS}:
        known = ", ".join(system.name for system in SYSTEMS)
        raise UnknownSystem(f"There is no system {', '.join(sorted(unknown))}; there are {known}.")
    return [system for system in SYSTEMS if not wanted or system.name in wanted]


_PEERS: Final = "loadtests.compare.peers"
_WINDOWS: Final = "windows from Redis, both models"
_MODELS_ALONE: Final = "both models on a feature vector that the client sends; no store, no windows, no rules"


def _uvicorn(factory: str, *options: str) -> tuple[str, ...]:
    return (
        "{bin}/uvicorn",
        "--factory",
        f"{_PEERS}.{factory}",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
        *options,
    )


def _tuned(workers: int) -> System:
    plural = "s" if workers > 1 else ""
    options = ("--workers", str(workers), "--loop", "uvloop", "--http", "httptools", "--no-access-log")
    return System(
        f"tuned_{workers}",
        f"hand-tuned FastAPI, {workers} worker{plural}",
        f"{_WINDOWS}, thresholds; no rules, no explanation, no record",
        f"async, uvicorn with {workers} worker{plural}, uvloop, httptools, no access log; greedy batches of up to"
        " 128 in the process, two at a time; one script call a batch; the bundle's own scoring; bytes in and out",
        "/predict",
        "payment",
        "history",
        Server(None, (*_uvicorn("tuned:create", *options), "--log-level", "warning"), "/health"),
    )


SYSTEMS: Final = (
    System(
        REFERENCE,
        "Tollgate, single",
        f"{_WINDOWS}, rules, decision, explanation; each decision on record, each id claimed",
        "the deployed serve_config.yaml, ingress replicas held, a deadline of 2 s instead of 100 ms",
        "/predict",
        "payment",
        "history",
    ),
    System(
        "tollgate_json_bulk",
        "Tollgate, JSON bulk",
        f"{_WINDOWS}, rules, decision, explanation; each decision on record, each id claimed",
        f"POST /predict/batch, {BULK_ROWS} a request",
        "/predict/batch",
        "bulk_json",
        "history",
        rows=BULK_ROWS,
    ),
    System(
        "tollgate_arrow_bulk",
        "Tollgate, Arrow bulk",
        f"{_WINDOWS}, rules, decision, explanation; each decision on record, each id claimed",
        f"POST /predict/batch as an Arrow stream, {BULK_ROWS} a request",
        "/predict/batch",
        "bulk_arrow",
        "history",
        rows=BULK_ROWS,
    ),
    System(
        "echo",
        "FastAPI echo on Serve (the limit)",
        "returns the request's body",
        "a Serve ingress behind the same HAProxy, with as many replicas as Tollgate's ingress",
        "/echo/predict",
        "payment",
        "none",
    ),
    System(
        "textbook",
        "textbook Ray Serve",
        f"{_WINDOWS}, ensemble, thresholds; no rules, no explanation, no record",
        "each request walks ingress, features, models and ensemble alone; @serve.batch (64, 10 ms) in the models;"
        " default proxy and settings, but max_ongoing_requests 256, without which no batch grows past 5, and"
        " workers at normal priority",
        "/predict",
        "payment",
        "history",
        Server(None, ("{bin}/python", "-m", f"{_PEERS}.textbook", "{port}"), "/health"),
    ),
    System(
        "plain",
        "FastAPI as usually written",
        "running totals from a Redis hash, both models; no windows, no merchant, no rules",
        "sync endpoint, HGETALL and HSET, a pandas frame, two predict_proba, uvicorn's defaults",
        "/predict",
        "payment",
        "first",
        Server(None, _uvicorn("plain:create"), "/health"),
    ),
    _tuned(1),
    _tuned(2),
    System(
        "litserve",
        "LitServe",
        _MODELS_ALONE,
        "max_batch_size 64, batch_timeout 1 ms, one worker, two API servers, no access log",
        "/predict",
        "vector",
        "first",
        Server(
            "requirements-litserve.txt",
            ("{bin}/python", "-m", f"{_PEERS}.litserve_server", "{port}"),
            "/health",
        ),
    ),
    System(
        "bentoml",
        "BentoML",
        _MODELS_ALONE,
        "adaptive batching, max_batch_size 64, max_latency_ms 60000, two workers, no access log, no metrics",
        "/predict",
        "vectors",
        "first",
        Server(
            "requirements-bentoml.txt",
            (
                "{bin}/bentoml",
                "serve",
                f"{_PEERS}.bentoml_service:Fraud",
                "--host",
                "127.0.0.1",
                "--port",
                "{port}",
            ),
            "/readyz",
        ),
    ),
    System(
        "mlserver",
        "MLServer",
        _MODELS_ALONE,
        "adaptive batching, max_batch_size 64, max_batch_time 1 ms, no worker pool, both models in one runtime",
        "/v2/models/fraud/infer",
        "tensor",
        "first",
        Server(
            "requirements-mlserver.txt",
            ("{bin}/mlserver", "start", "{folder}/model"),
            "/v2/models/fraud/ready",
            ("{bin}/python", "-m", f"{_PEERS}.mlserver_runtime", "{folder}/model", "{port}"),
        ),
    ),
    System(
        "mlflow",
        "mlflow models serve",
        _MODELS_ALONE,
        "one pyfunc with both models, two uvicorn workers, env-manager local; it has no batching",
        "/invocations",
        "mlflow",
        "first",
        Server(
            "requirements-mlflow.txt",
            (
                *("{bin}/mlflow", "models", "serve", "-m", "{folder}/model", "--env-manager", "local"),
                *("-h", "127.0.0.1", "-p", "{port}", "-w", "2"),
            ),
            "/ping",
            ("{bin}/python", "-m", f"{_PEERS}.mlflow_model", "{folder}/model"),
        ),
    ),
)
