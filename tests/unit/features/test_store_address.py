"""How the store is reached, and what of its address may be shown."""

from pathlib import Path

import pytest
import redis

from features.errors import StoreRefused
from features.store_address import check_address, has_password, public_address, store_url

SECRET = "p@ss/w:rd"


def test_the_password_of_a_file_is_put_to_the_address(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    url = store_url("redis://127.0.0.1:6399/0", {"TOLLGATE_REDIS_PASSWORD_FILE": str(file)})
    assert redis.Redis.from_url(url).connection_pool.connection_kwargs["password"] == SECRET
    assert public_address(url) == "redis://127.0.0.1:6399/0"


def test_the_password_of_the_environments_address_is_used_for_the_same_place_alone() -> None:
    environment = {"TOLLGATE_REDIS_URL": "redis://ada:secret@127.0.0.1:6399/0"}
    assert store_url("redis://127.0.0.1:6399/0", environment) == "redis://ada:secret@127.0.0.1:6399/0"
    assert store_url("redis://127.0.0.1:6400/0", environment) == "redis://127.0.0.1:6400/0"


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="none"):
        store_url("redis://127.0.0.1:6399/0", {"TOLLGATE_REDIS_PASSWORD_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize(
    "address", ["redis://127.0.0.1:1/0", "redis://localhost:1/0", "unix:///s", "rediss://h:1/0"]
)
def test_what_stays_on_the_machine_or_is_encrypted_is_admitted(address: str) -> None:
    assert store_url(address, {}) == address


def test_payments_do_not_cross_the_network_in_the_clear_unless_it_is_said_so() -> None:
    with pytest.raises(StoreRefused, match="rediss") as refused:
        store_url("redis://store:6379/0", {"TOLLGATE_REDIS_URL": "redis://ada:secret@store:6379/0"})
    assert "secret" not in str(refused.value)
    assert store_url("redis://store:6379/0", {"TOLLGATE_ALLOW_PLAINTEXT_REDIS": "1"}) == "redis://store:6379/0"


def test_the_certificates_to_check_a_server_against_reach_the_client() -> None:
    url = store_url("rediss://store:6379/0", {"TOLLGATE_REDIS_CA_FILE": "/etc/a b.pem"})
    known = redis.Redis.from_url(url).connection_pool.connection_kwargs
    assert known["ssl_ca_certs"] == "/etc/a b.pem"
    assert known["db"] == 0


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:6379",
        "store",
        "http://store:6379",
        "redis://store:port/0",
        "redis://store:99999",
        "redis://a b/0",
        "redis://:se/cret@h:1/0",
        "unix://",
    ],
)
def test_what_is_no_address_of_a_store_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(StoreRefused, match=r"is no address of a store: TOLLGATE_REDIS_URL is like redis://"):
        check_address(url)
    with pytest.raises(StoreRefused):
        store_url(url, {})


@pytest.mark.parametrize("query", ["password=hunter2", "db=1&password=hunter2", "username=ada", "password="])
def test_a_secret_in_the_query_of_an_address_is_refused_and_not_repeated(query: str) -> None:
    url = f"rediss://store/0?{query}"
    assert has_password(url)
    with pytest.raises(StoreRefused, match="in its query") as refused:
        check_address(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@host:6379/0", "redis://host:6379/0"),
        ("redis://:se@cret@host", "redis://host"),
        ("redis://:se/cret@host:6379/0?db=1", "redis://host:6379/0?db=1"),
        ("postgresql+psycopg2://ada:secret@db/mlflow", "postgresql+psycopg2://db/mlflow"),
        ("sqlite:////data/a@b.db", "sqlite:////data/a@b.db"),
        ("./mlflow.db", "./mlflow.db"),
    ],
)
def test_of_an_address_neither_user_nor_password_is_shown(url: str, shown: str) -> None:
    assert public_address(url) == shown
