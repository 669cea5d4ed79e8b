"""API keys: random, known to their holder alone, and recognised by a hash.

A key reads ``tg_<id>_<secret>``. The id is public: it names the key in lists, logs and errors. The secret has 256
random bits, which is why its hash is one SHA-256 and no slow function (bcrypt, scrypt, Argon2): slow functions
make up for passwords that people choose, and that can be guessed. Nobody guesses 256 bits, however fast the hash;
a slow one would only let strangers keep the service busy, at 50 ms a request.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

PREFIX: Final = "tg"
ID_PATTERN: Final = r"^[a-z2-7]{8,32}$"
MAX_BYTES: Final = 256
"""A longer text is no key; it is not worth hashing."""
_ID_BYTES: Final = 10
_SECRET_BYTES: Final = 32
_NOBODY: Final = b"\0" * 32
"""Digest that a key of unknown id is compared with, so that it takes as long as a wrong secret."""


class Scope(StrEnum):
    """What a key may do. Scopes do not contain each other: a key has those that it lists."""

    SCORE = "score"
    READ = "read"
    ADMIN = "admin"


class Rate(BaseModel):
    """A bound on how much a key may send."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_s: Annotated[float, Field(gt=0, le=1e6)]
    """Transactions a second in the long run."""
    burst: Annotated[float, Field(ge=1, le=1e7)]
    """Transactions at once, after a pause."""


class ApiKey(BaseModel):
    """What the service knows of a key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=ID_PATTERN)]
    name: Annotated[str, Field(max_length=100)] = ""
    """Whose it is, for people."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the whole key."""
    scopes: Annotated[frozenset[Scope], Field(min_length=1)]
    not_after: AwareDatetime | None = None
    """When it ends; during a rotation the old key and the new one hold side by side."""
    rate: Rate | None = None

    def expired(self, now: datetime) -> bool:
        """Return whether its time is over."""
        return self.not_after is not None and now > self.not_after


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key in memory: what a request is compared with, and what it may do."""

    key: ApiKey
    digest: bytes
    not_after_s: float
    """Seconds since the epoch; infinity where it does not end."""


class KeyRing:
    """The keys in force.

    Args:
        keys: with distinct ids.
    """

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._held = {
            key.id.encode(): HeldKey(
                key,
                bytes.fromhex(key.sha256),
                float("inf") if key.not_after is None else key.not_after.timestamp(),
            )
            for key in keys
        }

    def __len__(self) -> int:
        return len(self._held)

    def find(self, text: bytes) -> HeldKey | None:
        """Return the key that a text is, also one whose time is over; None where it is none.

        The id is looked up, which may take as long as it likes: it is public. The secret is compared by digest and
        in constant time, and an unknown id or no key at all costs the same.
        """
        parts = text.split(b"_", 2)
        held = self._held.get(parts[1]) if len(parts) == 3 else None
        digest = hashlib.sha256(text[:MAX_BYTES]).digest()
        same = hmac.compare_digest(digest, _NOBODY if held is None else held.digest)
        return held if same else None


def new_key(
    scopes: Iterable[Scope], *, name: str = "", not_after: datetime | None = None, rate: Rate | None = None
) -> tuple[ApiKey, str]:
    """Return a new key, and the text that its holder is given: the one time that it exists."""
    key_id = base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode().lower()
    text = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return ApiKey(
        id=key_id, name=name, sha256=digest, scopes=frozenset(scopes), not_after=not_after, rate=rate
    ), text
