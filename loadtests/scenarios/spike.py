"""``locust -f loadtests/locustfile.py,loadtests/scenarios/spike.py``: see :class:`loadtests.shapes.Spike`."""

from loadtests.shapes import Spike

__all__ = ["Spike"]
