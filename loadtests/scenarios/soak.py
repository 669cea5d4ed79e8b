"""``locust -f loadtests/locustfile.py,loadtests/scenarios/soak.py``: see :class:`loadtests.shapes.Soak`."""

from loadtests.shapes import Soak

__all__ = ["Soak"]
