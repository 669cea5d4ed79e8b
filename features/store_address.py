"""The address of the online store: what may be shown of it, and what a client needs beside it.

The address travels (to replicas, into logs, onto dashboards); password and certificate authority stay where they
were given, in the environment or a file of each machine, and are put to the address by the process that connects.
"""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

from features.errors import StoreRefused

URL: Final = "TOLLGATE_REDIS_URL"
PASSWORD_FILE: Final = "TOLLGATE_REDIS_PASSWORD_FILE"
CA_FILE: Final = "TOLLGATE_REDIS_CA_FILE"
ALLOW_PLAINTEXT: Final = "TOLLGATE_ALLOW_PLAINTEXT_REDIS"
_BLANK: Final = re.compile(r"\s")
_SCHEMES: Final = ("redis", "rediss", "unix")


def check_address(url: str) -> None:
    """Check that an address is one of a store, and says nothing in its query that must not be shown.

    Raises:
        StoreRefused: it is none, or has user or password in its query.
    """
    try:
        parts = urlsplit(url)
        whole = bool(parts.path) if parts.scheme == "unix" else parts.port != 0 and not _BLANK.search(url)
    except ValueError:  # Of its port.
        parts, whole = urlsplit(""), False
    if parts.scheme not in _SCHEMES or not whole:
        raise StoreRefused(
            f"{public_address(url)!r} is no address of a store: {URL} is like redis://HOST:6379/0 or rediss://HOST/0,"
            " with / and @ of a password as %2F and %40"
        )
    if _secret_query(url):
        raise StoreRefused(
            f"{URL} has user or password in its query, where they would be shown: give them in front of the host,"
            f" or the password in the file that {PASSWORD_FILE} names"
        )


def public_address(url: str) -> str:
    """Return an address, of a store or of a registry, without user and password.

    >>> public_address("rediss://ada:secret@store:6379/0"), public_address("sqlite:///mlflow.db")
    ('rediss://store:6379/0', 'sqlite:///mlflow.db')
    """
    scheme, separator, rest = url.partition("://")
    place, question, query = rest.partition("?")
    if not place.startswith("/"):
        # To the last @, for a password may hold a slash, although it should not.
        place = place.rpartition("@")[2]
    return f"{scheme}{separator}{place}{question}{query}"


def has_password(url: str) -> bool:
    """Return whether an address carries a password, and so must not be shown.

    >>> has_password("redis://store:6379/0"), has_password("redis://:secret@store:6379/0")
    (False, True)
    >>> has_password("redis://store:6379/0?password=secret")
    True
    """
    try:
        return bool(urlsplit(url).password) or _secret_query(url)
    except ValueError:
        return "@" in url


def _secret_query(url: str) -> bool:
    return bool({"username", "user", "password"} & parse_qs(urlsplit(url).query, keep_blank_values=True).keys())


def with_password(url: str, password: str) -> str:
    """Return an address with a password, under the user that it names.

    >>> with_password("redis://ada@store:6379/0", "a/b")
    'redis://ada:a%2Fb@store:6379/0'
    """
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{quote(password, safe='')}@{place}"))


def store_url(address: str, environment: Mapping[str, str]) -> str:
    """Return what a client connects to: the address, with what the environment keeps secret of it.

    Args:
        address: with or without user and password.
        environment: ``TOLLGATE_REDIS_URL`` may give user and password of the same address,
            ``TOLLGATE_REDIS_PASSWORD_FILE`` a file with the password, ``TOLLGATE_REDIS_CA_FILE`` the certificates
            that a server is checked against, where they are not the system's. ``TOLLGATE_ALLOW_PLAINTEXT_REDIS=1``
            admits a connection without TLS to another machine.

    Raises:
        StoreRefused: it is no address, payments and password would cross the network in the clear, or a file
            cannot be read.
    """
    given = environment.get(URL, "")
    url = given if given and public_address(given) == address else address
    check_address(url)
    if file := environment.get(PASSWORD_FILE):
        url = with_password(url, _read(Path(file)))
    check_encrypted(url, environment)
    if urlsplit(url).scheme == "rediss" and (certificates := environment.get(CA_FILE)):
        separator = "&" if urlsplit(url).query else "?"
        url = f"{url}{separator}{urlencode({'ssl_ca_certs': certificates})}"
    return url


def check_encrypted(url: str, environment: Mapping[str, str]) -> None:
    """Check that nothing crosses the network in the clear.

    Raises:
        StoreRefused: it would, and ``TOLLGATE_ALLOW_PLAINTEXT_REDIS`` does not admit it; or it is no address.
    """
    check_address(url)
    parts = urlsplit(url)
    if parts.scheme != "redis" or is_loopback(parts.hostname or "localhost"):
        return
    if environment.get(ALLOW_PLAINTEXT) == "1":
        return
    raise StoreRefused(
        f"{public_address(url)} is another machine, and redis:// would send payments and password there in the"
        f" clear. Use rediss:// (certificates: {CA_FILE}), or set {ALLOW_PLAINTEXT}=1 where the network itself is"
        " encrypted."
    )


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can be reached from its own machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreRefused(f"{PASSWORD_FILE} names {path}, which cannot be read: {error}") from error
