"""The one error tree of Tollgate. Domain errors know nothing of HTTP; the ingress maps them to statuses.

TollgateError
+-- InvalidTransaction     a transaction that the contract at the door does not admit; names the field
+-- TransactionConflict    a transaction_id that was given with another body before; names the fields that differ
+-- InvalidLabel           a label that the contract at the door does not admit; names the field
+-- LabelConflict          a label that contradicts an earlier one on merchant or time of its transaction
+-- InvalidStream          a body that is no Arrow stream that can be read here, or one with too much in it
+-- InvalidHistory         a history file or column mapping that cannot be read; names the column
+-- OutOfSpace             a disk is too full for the temporary files of a run; says where and how much
+-- InvalidRule            a policy rule that does not parse or names an unknown column
+-- OnlineStoreUnavailable the online store did not answer in time, or answered with an error
+-- StoreRefused           the online store must not be reached like this: in the clear, or without its password
+-- BundleRefused          a model bundle that this server must not serve, with the reason
+-- RegistryUnavailable    the model registry cannot be reached, or lacks the alias asked for
+-- InvalidKeys            a file of API keys that cannot be read, or keys that are needed and not there
+-- Overloaded             the queue is full; the caller may retry after a pause
|   +-- RateLimited        a key has used up its transactions for now; says when there are more
+-- DeadlineExceeded       the time of a queued transaction was over before it was computed
+-- DependencyDown         a part that keeps failing was not asked; its circuit is open
+-- DecisionNotRecorded    neither the decision log nor the spool took a decision, so it must not be told
+-- DecisionUnknown        no decision on a transaction_id is on record
+-- ForeignLog             the log of another store took the place of the one that was drained (deployments.ledger)
+-- NothingArchived        a day or a folder holds no archived decision
+-- CallFailed             a defect in another replica, which logged it
+-- ServiceUnavailable     a client of the live service got no answer (training.scoring_client)
+-- ScoringFailed          the live service did not score a file; says why (cluster.scoring)
+-- LabelsNotTaken         the live service did not take the labels of a file; says why (cluster.scoring)
+-- EvaluationRefused      an evaluation that would mislead or cannot be made (training.evaluation)
+-- CardMissing            a version of a release that made no model cards (cluster.model_commands)
+-- PromotionRefused       a version that must not be promoted like this; says why (cluster.model_commands)
+-- ReplayRefused          a replay cannot be compared (training.replay)
+-- TuningRefused          a search that would spoil a test or cannot be made (training.tuning)
+-- ParametersRefused      a file of parameters that no fit can use; names the key (training.parameter_file)
+-- LoadTestFailed         a load test did not run to its end; says why (loadtests.results)
+-- WrkFailed              wrk is missing, or measured nothing; says what to do (loadtests.wrk)
+-- CompareError           the comparison with peers cannot go on (loadtests.compare.errors)
+-- ClusterError           the one-machine launcher cannot go on; says what to do
"""


class TollgateError(Exception):
    """The root of every error that Tollgate raises on purpose."""


class InvalidTransaction(TollgateError):
    """A transaction breaks the contract; ``field`` names where, the message what was expected."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class InvalidLabel(TollgateError):
    """A label breaks the contract; ``field`` names where, the message what was expected."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class TransactionConflict(TollgateError):
    """A transaction_id stands for another body; ``fields`` names where they differ. Nothing was counted."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        super().__init__(fields)
        self.fields = fields

    def __str__(self) -> str:
        return f"this transaction_id was given with another body before, which differs in {', '.join(self.fields)}"


class LabelConflict(TollgateError):
    """An earlier label of the same transaction names another merchant or quarter of a day; nothing was changed."""


class InvalidStream(TollgateError):
    """A body is no Arrow stream, or none that can be read here; the message says what was expected."""


class InvalidHistory(TollgateError):
    """A history file or a column mapping cannot be used; the message names the file or the column."""


class OutOfSpace(TollgateError):
    """A disk is too full for the temporary files of a run; the message says which, and how much is needed."""


class InvalidRule(TollgateError):
    """A policy rule does not parse, or names a column that does not exist."""


class OnlineStoreUnavailable(TollgateError):
    """The online store did not answer in time, or answered with an error."""


class StoreRefused(TollgateError):
    """The online store must not be reached like this; the message says why, and what to set."""


class BundleRefused(TollgateError):
    """A model bundle must not be served here: foreign fingerprint, missing part, failed check."""


class RegistryUnavailable(TollgateError):
    """The model registry cannot be reached, or has no version under the alias asked for."""


class InvalidKeys(TollgateError):
    """API keys cannot be read, or are needed and not there; the message says what to do."""


class Overloaded(TollgateError):
    """The queue is full. Nothing was computed and nothing was counted."""


class RateLimited(Overloaded):
    """A key has used up its transactions for now; ``retry_after_s`` says when there are more."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, retry_after_s)
        self.message = message
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return self.message


class DeadlineExceeded(TollgateError):
    """The time of a queued transaction was over before its computation began; it was not counted."""


class DependencyDown(TollgateError):
    """A part keeps failing and was not asked; it is tried again after a pause."""


class NothingArchived(TollgateError):
    """There is no decision to audit: proof of nothing."""


class ForeignLog(TollgateError):
    """The log in the store is not the one that the archive holds the beginning of; nothing is taken out of it."""


class DecisionNotRecorded(TollgateError):
    """Neither the decision log nor the spool took a decision, so it is not told. A retry is safe."""


class DecisionUnknown(TollgateError):
    """No decision on this transaction_id is on record."""


class CallFailed(TollgateError):
    """Another replica failed by a defect of its own; its log has the exception."""


class ScoringFailed(TollgateError):
    """The live service did not score a file; the message says why."""


class LabelsNotTaken(TollgateError):
    """The live service did not take the labels of a file; the message says why."""


class ClusterError(TollgateError):
    """The one-machine launcher cannot go on; the message is a sentence that says what to do."""
