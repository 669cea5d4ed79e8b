"""Handles of other deployments: how they are called here, and what may stand for one."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, Protocol

from ray.serve.handle import DeploymentHandle

from deployments.links.linked_call import LinkedCall
from deployments.metrics import LinkMetrics

ALL_TIMEOUT_S: Final = 60.0
"""Time that all replicas of a deployment have to answer."""


class Handle(Protocol):
    """What the graph needs of a deployment handle, or of what stands for one (:mod:`deployments.fused`)."""

    def options(self, *, request_serialization: str, response_serialization: str) -> Any:
        """Return a handle that serialises so."""


def light(handle: Handle) -> Any:
    """Return the handle with the C pickler of the standard library, which is several times faster here.

    Only columns and arrays travel, nothing that needs cloudpickle.
    """
    return handle.options(request_serialization="pickle", response_serialization="pickle")


def hot_call(handle: Any, method: str) -> Any:
    """Return the method of a handle that is called once a batch; over links, if it is another process's."""
    return (
        LinkedCall(handle, method, LinkMetrics().report)
        if isinstance(handle, DeploymentHandle)
        else getattr(handle, method)
    )


async def on_all_replicas(handle: Any, method: str, *arguments: Any) -> list[Any]:
    """Return what each replica of a deployment answers, or raised.

    Args:
        handle: of the deployment, or what stands for one in the fused graph.

    Raises:
        RayError, RayServeException, AioRpcError, TimeoutError: Serve could not ask them.
    """
    if isinstance(handle, DeploymentHandle):
        answers = handle.broadcast(method, *arguments)
        found: list[Any] = await answers.results_async(timeout_s=ALL_TIMEOUT_S, return_exceptions=True)
        return found
    return [await getattr(handle, method).remote(*arguments)]


async def settled(*calls: Awaitable[Any]) -> list[Any]:
    """Return what each call returned or raised, in order, once all have ended."""
    return list(await asyncio.gather(*calls, return_exceptions=True))
