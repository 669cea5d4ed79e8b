"""``locust -f loadtests/locustfile.py,loadtests/scenarios/step.py``: see :class:`loadtests.shapes.Step`."""

from loadtests.shapes import Step

__all__ = ["Step"]
