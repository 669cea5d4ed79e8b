"""What the comparison raises.

CompareError (a TollgateError)
+-- PeerUnavailable   one system cannot be measured here; the rest goes on, and the table names the reason
+-- UnknownSystem     there is no system of that name (loadtests.compare.systems)
"""

from features.errors import TollgateError


class CompareError(TollgateError):
    """The comparison cannot go on; the message says what to do."""


class PeerUnavailable(CompareError):
    """One system cannot be installed, started, or trusted; the message is the reason in the table."""
