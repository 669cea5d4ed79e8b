"""``locust -f loadtests/locustfile.py,loadtests/scenarios/steady.py``: see :class:`loadtests.shapes.Steady`."""

from loadtests.shapes import Steady

__all__ = ["Steady"]
