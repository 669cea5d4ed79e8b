"""Waiting for calm: a trial goes on until nothing has been impaired for a while."""

import asyncio
import time

import pytest

from features.errors import ClusterError
from loadtests.chaos import trial
from loadtests.chaos.trial import _recovered
from tests.unit.loadtests.chaos.fakes import Service, asked, attempt
from tests.unit.loadtests.chaos.test_client import client_of


async def test_a_service_that_stays_impaired_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "RECOVERY_S", 0.0)
    async with client_of(Service()) as client:
        client.asked.append(asked(attempt(503, ended_s=time.monotonic())))
        with pytest.raises(ClusterError, match="did not recover"):
            await _recovered(client, 0.0)


async def test_a_service_that_was_impaired_long_ago_has_recovered() -> None:
    async with client_of(Service()) as client:
        client.asked.append(asked(attempt(503, ended_s=time.monotonic() - trial.CALM_S)))
        await asyncio.wait_for(_recovered(client, 0.0), 60)
