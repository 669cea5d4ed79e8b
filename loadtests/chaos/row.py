"""One row of the table of faults, and the sentences on what in it breaks a promise."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.chaos.asked import Asked, longest_s, recovery_s, totals
from loadtests.chaos.proof import Proof


@dataclass(frozen=True, slots=True)
class Row:
    """What one fault, change or soak did.

    Attributes:
        requests: payments of the clients.
        failed: payments without a decision in the end, however often they were repeated.
        busy: 503s, each with Retry-After, by error code.
        unanswered: connections that failed, and answers that did not come in time, by kind of failure.
        wrong: other answers, by status and error code.
        degraded: payments decided without a part.
        told_twice: payments with two answers that differ, with the store at hand.
        anew: payments with two answers that differ, one of them made while the store did not answer.
        lost: decisions that were told and are not in the archive.
        archived_twice: decisions that the archive has more than once.
        otherwise: decisions that the archive has otherwise than they were told.
        unremembered: payments whose repetition in the end was decided anew.
        counted_twice, uncounted: payments too many and too few in the windows of the store.
        recovered_s: seconds from the fault to the end of the last attempt that it impaired.
        longest_s: seconds that a client waited for a decision, over all its attempts, at most.
    """

    name: str
    words: str
    requests: int
    failed: int
    busy: dict[str, int]
    unanswered: dict[str, int]
    wrong: dict[str, int]
    degraded: int
    told_twice: int
    anew: int
    lost: int
    archived_twice: int
    otherwise: int
    unremembered: int
    counted_twice: int
    uncounted: int
    recovered_s: float
    longest_s: float

    def document(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return asdict(self)


def row_of(name: str, words: str, asked: Sequence[Asked], struck_s: float, proof: Proof) -> Row:
    """Return the row of a trial."""
    counts = totals(asked)
    return Row(
        name=name,
        words=words,
        requests=counts.requests,
        failed=counts.failed,
        busy=counts.busy,
        unanswered=counts.unanswered,
        wrong=counts.wrong,
        degraded=counts.degraded,
        told_twice=counts.differing,
        anew=counts.anew,
        lost=len(proof.lost),
        archived_twice=len(proof.archived_twice),
        otherwise=len(proof.otherwise),
        unremembered=len(proof.unremembered),
        counted_twice=proof.counted_twice,
        uncounted=proof.uncounted,
        recovered_s=round(recovery_s(asked, struck_s), 1),
        longest_s=round(longest_s(asked), 1),
    )


def broken(row: Row, may_interrupt: bool) -> list[str]:
    """Return a sentence for each promise that a trial broke.

    Args:
        may_interrupt: whether clients may have to repeat requests meanwhile. After a fault they may; a change
            that an operator makes must not show.
    """
    wrong = row.wrong
    counts = {
        "payments failed": row.failed,
        "decisions were lost": row.lost,
        "decisions were archived twice": row.archived_twice,
        "payments were counted twice": row.counted_twice,
        "payments were not counted": row.uncounted,
        "repetitions were not known": row.unremembered,
        "payments got two answers that differ": row.told_twice,
        "decisions are on record otherwise than told": row.otherwise,
        f"answers were neither a decision nor a 503 with Retry-After ({_kinds(wrong)})": sum(row.wrong.values()),
    }
    if not may_interrupt:
        counts |= {
            f"requests got 503 ({_kinds(row.busy)})": sum(row.busy.values()),
            f"requests got no answer ({_kinds(row.unanswered)})": sum(row.unanswered.values()),
        }
    return [f"{row.name}: {count} {words}." for words, count in counts.items() if count]


def _kinds(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind}: {count}" for kind, count in sorted(counts.items()))
