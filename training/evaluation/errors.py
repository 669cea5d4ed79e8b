"""What an evaluation refuses."""

from features.errors import TollgateError


class EvaluationRefused(TollgateError):
    """An evaluation would mean nothing or cannot be made; the message says why and what there is."""
