"""Waiting for something to become true, with a bound."""

import time
from collections.abc import Callable

POLL_S = 0.2


def wait_until(condition: Callable[[], bool], timeout_s: float, poll_s: float = POLL_S) -> bool:
    """Return whether ``condition`` became true within ``timeout_s`` seconds; ask at least once."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_s)  # Polls a server that gives no notice.
    return True
