"""The stack is shared with the tests of faults, which run in the same process after these."""

from tests.stack import Stack, patient

__all__ = ["Stack", "patient"]
