"""What tuning refuses."""

from features.errors import TollgateError


class TuningRefused(TollgateError):
    """A search would spoil a test or cannot be made; the message says why and what to do."""
