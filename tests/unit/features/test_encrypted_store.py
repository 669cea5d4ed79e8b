"""The online store over TLS: what arrives, and whose certificate is taken. Valkey stands behind a TLS endpoint."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from features.errors import OnlineStoreUnavailable
from features.online import AsyncOnlineStore
from features.store_address import CA_FILE, store_url
from features.transaction import Transaction, TransactionBatch

Trusted = dict[str, str]
"""The environment that names the certificate of an authority."""


def payment(minute: int) -> TransactionBatch:
    body = {"timestamp": f"2026-01-01T10:{minute:02}:00Z", "customer_id": "tls", "amount": 10}
    return TransactionBatch.of([Transaction.model_validate(body)])


BATCH, LATER = payment(0), payment(1)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> Trusted:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return {CA_FILE: str(tmp_path / "ca.pem")}


@asynccontextmanager
async def encrypted(
    valkey_socket: str, authority: trustme.CA, name: str, environment: dict[str, str]
) -> AsyncIterator[AsyncOnlineStore]:
    """Stand in front of Valkey under a name, and give a store that finds it as localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that takes no such certificate, or has seen enough, just goes.
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(valkey_socket)
        await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        address = f"rediss://localhost:{server.sockets[0].getsockname()[1]}/5"
        store = AsyncOnlineStore(store_url(address, environment), timeout_s=30)
        try:
            yield store
        finally:
            await store.close()


async def test_payments_are_counted_over_tls(valkey_socket: str, authority: trustme.CA, trusted: Trusted) -> None:
    async with encrypted(valkey_socket, authority, "localhost", trusted) as store:
        [before] = (await store.observe(BATCH))["customer_count_1h"]
        [then] = (await store.observe(LATER))["customer_count_1h"]
    assert (before, then) == (0, 1)


async def test_a_certificate_of_an_unknown_authority_is_refused(valkey_socket: str, authority: trustme.CA) -> None:
    async with encrypted(valkey_socket, authority, "localhost", {}) as store:
        with pytest.raises(OnlineStoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await store.ping()


async def test_a_certificate_of_another_name_is_refused(
    valkey_socket: str, authority: trustme.CA, trusted: Trusted
) -> None:
    async with encrypted(valkey_socket, authority, "store.example", trusted) as store:
        with pytest.raises(OnlineStoreUnavailable, match="localhost"):
            await store.ping()
