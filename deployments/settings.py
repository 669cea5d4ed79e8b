"""What ``serve_config.yaml`` may say: the builder's arguments and the ``user_config`` of each deployment.

``user_config`` is applied in place by ``serve deploy``, without a restart. Unknown keys are refused.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from features.store_address import has_password

Probability = Annotated[float, Field(ge=0, le=1)]
Action = Literal["REVIEW", "BLOCK"]


class Settings(BaseModel):
    """The common ground: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _without_password(address: str) -> str:
    if has_password(address):
        raise ValueError(
            "must not hold a password, as Serve shows it to everybody who may see the deployment;"
            " give it in the environment, or in the file that TOLLGATE_REDIS_PASSWORD_FILE names"
        )
    return address


PublicAddress = Annotated[str, AfterValidator(_without_password)]
"""An address that may be shown."""


class AppArgs(Settings):
    """Arguments of :func:`deployments.app.build`. A change of them restarts every replica."""

    redis_url: PublicAddress | None = Field(None, description="Online store; TOLLGATE_REDIS_URL when absent.")
    tracking_uri: PublicAddress | None = Field(
        None, description="Model registry; MLFLOW_TRACKING_URI when absent."
    )
    data_folder: str | None = Field(
        None, description="Spool and archive of decisions, kept bundles; TOLLGATE_DATA_FOLDER when absent."
    )
    placement: Literal["distributed", "fused"] = Field(
        "distributed",
        description="distributed: each part is a deployment; fused: the whole graph in each ingress replica.",
    )


class BatchSettings(Settings):
    """Bounds of the ingress's micro-batcher."""

    max_size: Annotated[int, Field(ge=1, le=1024)] = 256
    """Transactions a micro-batch at most; 1024 of them stay far below Serve's 4 MB message limit."""
    slots: Annotated[int, Field(ge=1, le=64)] = 2
    """Micro-batches under way at once in one ingress replica."""
    max_queue: Annotated[int, Field(ge=1, le=100_000)] = 4096
    """Single transactions that may wait in one ingress replica; beyond it a request gets 503 at once."""
    max_bulk_queue: Annotated[int, Field(ge=1, le=1_000_000)] = 16_384
    """Transactions of bulk requests that may wait, a chunk of each request at a time."""
    single_share: Annotated[float, Field(ge=0.01, le=0.99)] = 0.8
    """Share of the transactions that come from single requests, while bulk requests wait as well."""

    @model_validator(mode="after")
    def _a_batch_fits_the_queues(self) -> Self:
        for name, bound in (("max_queue", self.max_queue), ("max_bulk_queue", self.max_bulk_queue)):
            if bound < self.max_size:
                raise ValueError(f"{name} ({bound}) must not be below max_size ({self.max_size})")
        return self


class IngressSettings(Settings):
    """``user_config`` of the ingress."""

    batch: BatchSettings = BatchSettings()
    deadline_ms: Annotated[int, Field(ge=10, le=60_000)] = 100
    """Time for the decision on a single transaction, from its arrival at the ingress. What does not answer in its
    share of it is done without, and named in ``degraded``."""
    bulk_deadline_ms: Annotated[int, Field(ge=10, le=600_000)] = 10_000
    """The same for a chunk of a bulk request. A batch of both has the earlier deadline."""
    max_wait_ms: Annotated[int, Field(ge=1, le=60_000)] = 1000
    """Longest time that a transaction may wait for a slot, and never more than half of its deadline; past it the
    request gets 503, uncounted."""
    max_items: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    """Items of one POST /predict/batch."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=256 * 2**20)] = 8 * 2**20
    """Bytes of one request body in JSON, and of one that no route asked for."""
    docs: bool = True
    """Whether GET /docs, /redoc and /openapi.json answer. They need no key, as browsers send none."""
    max_arrow_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    """Rows of one Arrow request: some seconds of work, and about 80 MB of the replica while it lasts."""
    max_arrow_bytes: Annotated[int, Field(ge=1024, le=256 * 2**20)] = 32 * 2**20
    """Bytes of one Arrow request: as many rows of 320 bytes, where a usual one has 80."""
    max_line_bytes: Annotated[int, Field(ge=256, le=2**20)] = 16 * 2**10
    """Bytes of one line of an NDJSON stream: the longest good one, of 8 texts of 64 four-byte letters written as
    escapes, has 7 KB."""
    max_unread_bytes: Annotated[int, Field(ge=2**16, le=2**28)] = 4 * 2**20
    """Answers of an NDJSON stream that the client has not read yet and that stay in memory; past them its body is
    not read on."""
    max_spooled_bytes: Annotated[int, Field(ge=0, le=2**40)] = 2**30
    """Unread answers that go to a temporary file, for clients that send their whole body before they read."""
    patience_ms: Annotated[int, Field(ge=1, le=600_000)] = 1000
    """How long a client may read nothing, with answers waiting, before it counts as one of those."""
    max_stall_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 60_000
    """How long a client may read nothing once memory and file are full, and how long the next bytes of its body
    may take; past it the stream ends."""
    max_retry_ms: Annotated[int, Field(ge=0, le=600_000)] = 30_000
    """How long a stream tries again while the queue is full: a stream can wait, and its client waits with it."""


class ModelRef(Settings):
    """Which bundle to serve: a registered model and an alias of it."""

    name: Annotated[str, Field(min_length=1)] = "tollgate"
    alias: Annotated[str, Field(min_length=1)] = "champion"


class ModelSettings(Settings):
    """``user_config`` of the two model deployments."""

    model: ModelRef = ModelRef()


class Weights(Settings):
    """Weights of the ensemble; they are divided by their sum."""

    lr: Annotated[float, Field(ge=0, le=1e6)] = 0.5
    xgb: Annotated[float, Field(ge=0, le=1e6)] = 0.5

    @model_validator(mode="after")
    def _one_is_positive(self) -> Self:
        if self.lr + self.xgb <= 0:
            raise ValueError("at least one weight must be positive")
        return self


class Thresholds(Settings):
    """Tiers of the decision, on the ensemble's probability."""

    block: Probability = 0.90
    """BLOCK above it."""
    review: Probability = 0.50
    """REVIEW above it, else APPROVE."""
    fraud: Probability = 0.50
    """prediction is FRAUD from it on."""

    @model_validator(mode="after")
    def _tiers_are_ordered(self) -> Self:
        if self.review > self.block:
            raise ValueError(f"review ({self.review}) must not exceed block ({self.block})")
        return self


class Rule(Settings):
    """One policy rule. Where it fires it overrides the models, never towards a milder decision."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    when: Annotated[str, Field(min_length=1, max_length=1000)]
    """An expression over features and transaction columns: see :mod:`deployments.rules`."""
    action: Action = "BLOCK"
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    """What an analyst and a customer's bank read when it fires."""


class BreakerSettings(Settings):
    """When the circuit of a dependency opens, and for how long."""

    failures: Annotated[int, Field(ge=1, le=1000)] = 5
    """Calls in a row that fail or have no answer in time, until the dependency is left alone."""
    pause_ms: Annotated[int, Field(ge=1, le=600_000)] = 1000
    """How long it is left alone; then one call tries again, and its end decides."""


class RecordSettings(Settings):
    """How decisions are recorded (:mod:`deployments.ledger`)."""

    remember_hours: Annotated[int, Field(ge=24, le=24 * 90)] = 24
    """How long a retry gets the decision that stands."""
    timeout_ms: Annotated[int, Field(ge=1, le=60_000)] = 250
    """Bound on the store's answer; past it, or past its share of the deadline, the decisions wait on disk."""
    max_spool_bytes: Annotated[int, Field(ge=2**20, le=2**40)] = 2**30
    """Decisions that wait on this machine's disk while the store does not take them; past it requests get 503."""


class PolicySettings(Settings):
    """``user_config`` of the router: the policy. What is absent comes from the served bundle."""

    model: ModelRef = ModelRef()
    weights: Weights | None = None
    thresholds: Thresholds | None = None
    rules: tuple[Rule, ...] = ()
    model_poll_s: Annotated[float, Field(ge=0, le=86_400)] = 10
    """Pause between two looks at which version the alias names; 0: only when ``user_config`` changes."""
    rules_without_history: tuple[Rule, ...] = ()
    """Rules that apply besides, while the history of a payment cannot be read."""
    breaker: BreakerSettings = BreakerSettings()
    record: RecordSettings = RecordSettings()
    max_reasons: Annotated[int, Field(ge=1, le=20)] = 5
    """Reason codes that an explanation gives at most."""

    @model_validator(mode="after")
    def _rule_ids_differ(self) -> Self:
        ids = [rule.id for rule in (*self.rules, *self.rules_without_history)]
        if len(set(ids)) < len(ids):
            raise ValueError(f"rule ids must differ: {ids}")
        return self


class StoreSettings(Settings):
    """``user_config`` of the feature deployment."""

    timeout_ms: Annotated[int, Field(ge=1, le=60_000)] = 250
    """Bound on each answer of the online store; past it, or past its share of the deadline, the batch is decided
    without history."""
    breaker: BreakerSettings = BreakerSettings()


class LogSettings(Settings):
    """``user_config`` of the decision log."""

    drain_interval_s: Annotated[float, Field(gt=0, le=3600)] = 60
    """Pause between two drains of the log into the archive."""


class FusedSettings(Settings):
    """``user_config`` of the fused graph: what the parts would be given as deployments of their own."""

    ingress: IngressSettings = IngressSettings()
    router: PolicySettings = PolicySettings()
    features: StoreSettings = StoreSettings()
    log: LogSettings = LogSettings()
    models: ModelSettings = ModelSettings()
