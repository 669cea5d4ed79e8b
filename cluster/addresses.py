"""The addresses of a store and of a registry of one's own, checked before anything starts."""

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator

from features.errors import ClusterError
from features.store_address import check_address

SCHEMES: Final = [
    "http",
    "https",
    "sqlite",
    "postgresql",
    "mysql",
    "mssql",
    "file",
    "databricks",
    "databricks-uc",
    "uc",
    "azureml",
]
"""Of a registry, as MLflow and its plugins have them."""


def _store(url: str) -> str:
    check_address(url)
    return url


def _registry(uri: str) -> str:
    scheme, separator, _ = uri.partition("://")
    if separator and scheme.lower().partition("+")[0] not in SCHEMES:
        raise ClusterError(f"MLFLOW_TRACKING_URI must be an address of {', '.join(SCHEMES)}, not of {scheme}.")
    if separator and "@" in urlsplit(uri).path and not scheme.startswith(("sqlite", "file")):
        raise ClusterError("MLFLOW_TRACKING_URI: write / and @ of user and password as %2F and %40.")
    return uri


StoreAddress = Annotated[str, AfterValidator(_store)]
"""Raises StoreRefused where it is no address of a store."""
RegistryAddress = Annotated[str, AfterValidator(_registry)]
"""Raises ClusterError where it is no address of a registry. A path of a folder is one."""
