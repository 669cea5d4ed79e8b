"""What the comparison raises.

CompareError
+-- PeerUnavailable   one system cannot be measured here; the rest goes on, and the table names the reason
"""


class CompareError(Exception):
    """The comparison cannot go on; the message says what to do."""


class PeerUnavailable(CompareError):
    """One system cannot be installed, started, or trusted; the message is the reason in the table."""
