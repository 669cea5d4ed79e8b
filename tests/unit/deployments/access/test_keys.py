"""Keys: what is one, what is none, and what is kept of it."""

import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.access.keys import ApiKey, KeyRing, Rate, Scope, new_key


def test_a_new_key_is_found_and_every_other_text_is_not() -> None:
    key, text = new_key([Scope.SCORE], name="backend")
    ring = KeyRing([key])
    found = ring.find(text.encode())
    assert found is not None
    assert found.key == key
    for other in (text[:-1], text + "x", text.upper(), text.replace(key.id, "a" * 16), key.id, "", "tg__", "__"):
        assert ring.find(other.encode()) is None


@given(st.binary(max_size=300))
def test_no_bytes_are_a_key_by_chance(text: bytes) -> None:
    key, _ = new_key([Scope.READ])
    assert KeyRing([key]).find(text) is None


def test_what_is_kept_of_a_key_is_not_the_key() -> None:
    key, text = new_key([Scope.SCORE])
    secret = text.split("_", 2)[2]
    assert len(secret) >= 43
    assert secret not in repr(key)
    assert secret not in key.model_dump_json()


def test_two_keys_differ_in_id_and_secret() -> None:
    (one, first), (two, second) = new_key([Scope.SCORE]), new_key([Scope.SCORE])
    assert one.id != two.id
    assert first.split("_", 2)[2] != second.split("_", 2)[2]


def test_the_secret_of_another_key_does_not_open_this_one() -> None:
    (one, first), (two, second) = new_key([Scope.SCORE]), new_key([Scope.ADMIN])
    mixed = f"tg_{one.id}_{second.split('_', 2)[2]}"
    ring = KeyRing([one, two])
    assert ring.find(first.encode()) is not None
    assert ring.find(mixed.encode()) is None


@pytest.mark.parametrize("text", [b"", b"tg_unknown_secret", b"no key", b"x" * 100_000])
def test_what_is_no_key_is_compared_like_a_wrong_one(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    honest = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return honest(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert KeyRing([new_key([Scope.SCORE])[0]]).find(text) is None
    assert compared == [(32, 32)]


def test_a_key_is_over_after_its_time() -> None:
    now = datetime.now(UTC)
    key, _ = new_key([Scope.SCORE], not_after=now)
    assert not key.expired(now)
    assert key.expired(now + timedelta(seconds=1))


@pytest.mark.parametrize(
    "change",
    [
        {"id": "UPPER123"},
        {"id": "a_b_c_d_e"},
        {"sha256": "tg_secret"},
        {"scopes": []},
        {"scopes": ["root"]},
        {"not_after": "2026-01-01T00:00:00"},
        {"rate": {"per_s": 0, "burst": 1}},
        {"colour": "red"},
    ],
)
def test_what_the_file_may_not_say_of_a_key_is_refused(change: dict[str, object]) -> None:
    key, _ = new_key([Scope.SCORE], rate=Rate(per_s=1, burst=1))
    with pytest.raises(ValueError, match=next(iter(change))):
        ApiKey.model_validate(key.model_dump(mode="json") | change)
