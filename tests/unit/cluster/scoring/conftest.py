"""The service that stands in for the live one imports Ray Serve, which is done quietly there."""

from tests.unit.deployments import conftest  # noqa: F401
