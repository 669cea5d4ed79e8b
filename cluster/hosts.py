"""What makes a stack a part of several hosts: the address of this one, the head to join, and Ray's own store.

Alone, as by default, no other machine can join: Ray listens on loopback. With an address of its own (a node
address) it listens to other machines. Then all of them need Ray's token, and the servers that they share.
"""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from features.store_address import is_loopback

NODE_ADDRESS: Final = "TOLLGATE_NODE_ADDRESS"
TOKEN_FILE: Final = "TOLLGATE_RAY_TOKEN_FILE"
GCS_URL: Final = "TOLLGATE_GCS_URL"
GCS_PASSWORD_FILE: Final = "TOLLGATE_GCS_PASSWORD_FILE"
GCS_CA_FILE: Final = "TOLLGATE_GCS_CA_FILE"
GCS_NAMESPACE: Final = "TOLLGATE_GCS_NAMESPACE"
RECONNECT_S: Final = 600
"""How long the other nodes serve on without a head, and take it back, until they give up and end. Ray's own 60 s
are less than a person needs who is woken up."""


def _node_address(text: str) -> str:
    address = ipaddress.ip_address(text)
    if address.is_unspecified:
        raise ValueError(f"{text} is no address at which another machine finds this one")
    return str(address)


def _head_address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"the address of a head is host:port, for example 10.0.0.1:6390; this was {text!r}")
    return text


class Hosts(BaseModel):
    """How this machine and others form one cluster; by default they do not.

    Attributes:
        node_address: IP address at which the other nodes reach this one.
        head_address: host:port of the head that this machine joins; None: it is the head.
        ray_token_file: a file with the cluster's token; None: that of the state folder.
        gcs_url: Redis or Valkey that Ray's head keeps its state in; None: in memory, lost with the head.
        gcs_password_file: a file with its password.
        gcs_ca_file: certificates that it is checked against; None: those of the system.
        gcs_namespace: prefix of the keys there; each cluster needs its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    node_address: Annotated[str, AfterValidator(_node_address)] | None = None
    head_address: Annotated[str, AfterValidator(_head_address)] | None = None
    ray_token_file: Path | None = None
    gcs_url: str | None = None
    gcs_password_file: Path | None = None
    gcs_ca_file: Path | None = None
    # Ray joins it with @ and further names to a key.
    gcs_namespace: str = Field(default="tollgate", pattern=r"^[A-Za-z0-9_.-]+$")

    @model_validator(mode="after")
    def _without_a_password_in_sight(self) -> Self:
        if self.gcs_url is None:
            return self
        parts = urlsplit(self.gcs_url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or not parts.port:
            raise ValueError(f"{GCS_URL} is redis://host:port or rediss://host:port")
        if "@" in parts.netloc:
            # Ray is handed the address in variables that every process of it shows.
            raise ValueError(
                f"{GCS_URL} must hold no password; put it into a file and name that in {GCS_PASSWORD_FILE}"
            )
        return self

    @property
    def alone(self) -> bool:
        """Whether no other machine is, or can become, a part of the cluster."""
        return self.node_address is None or is_loopback(self.node_address)

    @property
    def is_worker(self) -> bool:
        """Whether the head runs elsewhere."""
        return self.head_address is not None

    @property
    def gcs_address(self) -> str | None:
        """Return ``gcs_url`` as Ray reads it, without a path."""
        if self.gcs_url is None:
            return None
        parts = urlsplit(self.gcs_url)
        return f"{parts.scheme}://{parts.netloc}"


def hosts_from(environment: Mapping[str, str], node_address: str | None, head_address: str | None) -> Hosts:
    """Return what the options say, and the environment where they say nothing.

    Raises:
        ValidationError: an address cannot be used.
    """
    given = {
        "node_address": node_address or environment.get(NODE_ADDRESS),
        "head_address": head_address,
        "ray_token_file": _path(environment.get(TOKEN_FILE)),
        "gcs_url": environment.get(GCS_URL),
        "gcs_password_file": _path(environment.get(GCS_PASSWORD_FILE)),
        "gcs_ca_file": _path(environment.get(GCS_CA_FILE)),
        "gcs_namespace": environment.get(GCS_NAMESPACE),
    }
    return Hosts.model_validate({name: value for name, value in given.items() if value})


def _path(name: str | None) -> Path | None:
    return Path(name).resolve() if name else None
