"""A hand-tuned service for this one purpose: everything in one process, nothing that it could do without.

    uvicorn --factory loadtests.compare.peers.tuned:create --workers 2 --no-access-log

The same validation, the same windows, the same models as Tollgate, and its two thresholds. No graph, no rules, no
explanation, no degraded answers, no change of policy or model in place, no bound on the queue, no scaling.
"""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from features.definitions import fingerprint
from features.errors import InvalidTransaction
from features.formulas import feature_matrix
from features.online import AsyncOnlineStore
from features.transaction import Transaction, TransactionBatch, check_transaction
from loadtests.compare.peers.models import BUNDLE_VARIABLE
from training.bundle import Bundle

MAX_BATCH: Final = 128
SLOTS: Final = 2
"""Batches under way: one waits for the store while another is scored."""
JSON: Final = "application/json"


class Scorer:
    """Scores what waits in greedy batches, at most ``SLOTS`` at a time."""

    def __init__(self, bundle: Bundle, store: AsyncOnlineStore) -> None:
        self._bundle = bundle
        self._store = store
        self._waiting: list[tuple[Transaction, asyncio.Future[bytes]]] = []
        self._free = SLOTS
        self._running: set[asyncio.Task[list[bytes]]] = set()

    def submit(self, transaction: Transaction) -> asyncio.Future[bytes]:
        """Return the future body of the answer."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        self._waiting.append((transaction, future))
        if len(self._waiting) == 1:
            # One turn of the loop later, all that was read in this turn waits, too.
            loop.call_soon(self._start)
        return future

    def _start(self) -> None:
        while self._free and self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            self._begin(batch)

    def _begin(self, batch: list[tuple[Transaction, asyncio.Future[bytes]]]) -> None:
        self._free -= 1
        transactions = [transaction for transaction, _ in batch]
        task = asyncio.ensure_future(self._score(transactions))
        self._running.add(task)
        task.add_done_callback(partial(self._finish, [future for _, future in batch]))

    def _finish(self, futures: list[asyncio.Future[bytes]], task: asyncio.Task[list[bytes]]) -> None:
        self._running.discard(task)
        self._free += 1
        error = task.exception()
        answers = [b""] * len(futures) if error else task.result()
        for future, answer in zip(futures, answers, strict=True):
            if future.done():
                continue  # Its client went away.
            if error:
                future.set_exception(error)
            else:
                future.set_result(answer)
        self._start()

    async def _score(self, transactions: list[Transaction]) -> list[bytes]:
        batch = TransactionBatch.of(transactions)
        scores = self._bundle.score(feature_matrix(await self._store.observe(batch, claimed=False)))
        thresholds = self._bundle.manifest.thresholds
        columns = (batch.transaction_id, scores.ensemble.tolist(), scores.lr.tolist(), scores.xgb.tolist())
        answers = []
        for transaction_id, probability, lr, xgb in zip(*columns, strict=True):
            blocked, reviewed = probability > thresholds.block, probability > thresholds.review
            answer = {
                "transaction_id": transaction_id,
                "prediction": "FRAUD" if probability > thresholds.fraud else "LEGIT",
                "decision": "BLOCK" if blocked else "REVIEW" if reviewed else "APPROVE",
                "fraud_probability": probability,
                "model_scores": {"lr": lr, "xgb": xgb},
            }
            answers.append(to_json(answer))
        return answers


def create() -> FastAPI:
    """Return the application; uvicorn calls it in each worker."""
    bundle = Bundle.load(Path(os.environ[BUNDLE_VARIABLE]), fingerprint())
    store = AsyncOnlineStore(os.environ["COMPARE_REDIS_URL"], timeout_s=5)
    scorer = Scorer(bundle, store)
    parse = TypeAdapter(Transaction).validate_json

    @asynccontextmanager
    async def warm(_: FastAPI) -> AsyncIterator[None]:
        bundle.warm()
        gc.freeze()
        yield
        await store.close()

    api = FastAPI(title="Tuned", lifespan=warm)

    @api.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @api.post("/predict")
    async def predict(request: Request) -> Response:
        try:
            transaction = parse(await request.body())
            check_transaction(transaction, int(time.time() * 1000))
        except (ValidationError, InvalidTransaction) as error:
            return Response(to_json({"error": str(error)}), 422, media_type=JSON)
        return Response(await scorer.submit(transaction), media_type=JSON)

    return api
