"""A token bucket: so many transactions a second in the long run, and some at once."""

from deployments.access.keys import Rate


class TokenBucket:
    """Counts what a key may still send.

    A request is admitted while anything is left, and then pays in full, if need be on credit. So a chunk of 512
    transactions passes under a burst of 100 as well, and the next request waits until the debt is paid: the rate
    holds whatever the sizes.

    Args:
        rate: to begin with.
        now_s: monotonic seconds.

    >>> bucket = TokenBucket(Rate(per_s=10, burst=5), now_s=0)
    >>> bucket.missing_s(0), bucket.pay(15), bucket.missing_s(0), bucket.missing_s(2)
    (0.0, None, 1.1, 0.0)
    """

    def __init__(self, rate: Rate, now_s: float) -> None:
        self._rate = rate
        self._left = rate.burst
        self._filled_at_s = now_s

    def missing_s(self, now_s: float) -> float:
        """Return in how many seconds the next transaction is admitted; 0 when it is now."""
        self._left = min(self._rate.burst, self._left + (now_s - self._filled_at_s) * self._rate.per_s)
        self._filled_at_s = now_s
        return 0.0 if self._left >= 1 else (1 - self._left) / self._rate.per_s

    def change(self, rate: Rate, now_s: float) -> None:
        """Go by another rate from now on.

        >>> bucket = TokenBucket(Rate(per_s=10, burst=20), now_s=0)
        >>> bucket.pay(20)
        >>> bucket.change(Rate(per_s=5, burst=20), now_s=1)
        >>> bucket.pay(10), bucket.missing_s(1)
        (None, 0.2)
        """
        self.missing_s(now_s)
        self._rate = rate

    def pay(self, transactions: int) -> None:
        """Take so many transactions out."""
        self._left -= transactions

    def give_back(self, transactions: int) -> None:
        """Put back what was paid for nothing."""
        self._left += transactions
