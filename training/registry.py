"""The model registry: MLflow behind a few verbs. The only module of training that deployments import.

One registered version is one bundle. Serving asks for a version by alias ("champion"), so that promoting or
rolling back is moving an alias. MLflow is imported at the first use: a process that never asks stays light.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.errors import BundleRefused, RegistryUnavailable
from features.store_address import public_address
from training.bundle import Bundle, check_digests, file_digests
from training.calibration import Calibration
from training.mlflow_client import mlflow_client, talking_to_mlflow
from training.models import BoostedModel, LogisticModel

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = [
    "CHAMPION",
    "MODEL_NAME",
    "BoostedModel",
    "Bundle",
    "Calibration",
    "LogisticModel",
    "RegisteredVersion",
    "Registry",
    "file_digests",
    "with_password_of",
]

MODEL_NAME: Final = "tollgate"
CHAMPION: Final = "champion"
BUNDLE_ARTIFACT: Final = "bundle"
"""Folder of the bundle among the artifacts of its run."""

PREVIOUS_TAG: Final = "tollgate.previous."
"""Tag of a registered model, with an alias behind it: the version that the alias named before."""
REASON_TAG: Final = "tollgate.promoted_although_worse"
"""Tag of a version: why it was promoted although it is worse than the champion."""

DIGEST_TAG: Final = "tollgate.sha256."
"""Tag of a version, with the name of a file behind it: the digest of that file of the bundle as registered."""

SQLITE: Final = "sqlite:///"
_SQLITE_MAGIC: Final = b"SQLite format 3\0"
_ABSENT: Final = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""Error codes with which MLflow says that a model, version or alias does not exist."""


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One version in the registry.

    Attributes:
        version: a number, as text.
        run_id: the MLflow run that made it.
        tags: fingerprint, thresholds and metrics, as they were published.
    """

    name: str
    version: str
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry:
    """The registry at a tracking address.

    Args:
        tracking_uri: ``http(s)://`` of an MLflow server, or ``sqlite:///`` of a file.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    def load(
        self,
        name: str,
        alias_or_version: str,
        expected_fingerprint: str,
        keep: Callable[[Path], None] | None = None,
    ) -> tuple[Bundle, RegisteredVersion]:
        """Return the bundle under an alias or version, checked, and the version that it is.

        Args:
            keep: is given the folder of its files, once they are checked and before they are gone.

        Raises:
            RegistryUnavailable: the registry does not answer, or has no such version or alias.
            BundleRefused: the bundle is damaged, is not the one that was registered, or belongs to other feature
                definitions.
        """
        found = self.resolve(alias_or_version, name)
        with (
            tempfile.TemporaryDirectory(prefix="tollgate-bundle-") as folder,
            talking_to_mlflow(self.tracking_uri),
        ):
            from mlflow.artifacts import download_artifacts

            # Through the run rather than the registered model: it works alike on SQLite and HTTP.
            downloaded = download_artifacts(
                run_id=found.run_id,
                artifact_path=BUNDLE_ARTIFACT,
                dst_path=folder,
                tracking_uri=self.tracking_uri,
            )
            try:
                _check_registered(Path(downloaded), found)
                bundle = Bundle.load(Path(downloaded), expected_fingerprint)
            except BundleRefused as error:
                raise BundleRefused(f"Version {found.version} of {name!r} is refused. {error}") from error
            if keep is not None:
                keep(Path(downloaded))
            return bundle, found

    def resolve(self, alias_or_version: str, name: str = MODEL_NAME) -> RegisteredVersion:
        """Return the version that an alias names, or the version of that number.

        Raises:
            RegistryUnavailable: the registry does not answer, or has no such version or alias.
        """
        with talking_to_mlflow(self.tracking_uri):
            from mlflow.exceptions import MlflowException

            client = self._client()
            try:
                if alias_or_version.isdecimal():
                    return _registered(client.get_model_version(name, alias_or_version))
                return _registered(client.get_model_version_by_alias(name, alias_or_version))
            except MlflowException as error:
                if error.error_code not in _ABSENT:
                    raise
                what = "version" if alias_or_version.isdecimal() else "alias"
                where = public_address(self.tracking_uri)
                raise RegistryUnavailable(
                    f"The registry at {where} has no {what} {alias_or_version!r} of the model {name!r}."
                    " Train and promote one first (`tollgate train`)."
                ) from None

    def publish(
        self, bundle_dir: Path, run_id: str, name: str = MODEL_NAME, tags: Mapping[str, str] | None = None
    ) -> RegisteredVersion:
        """Upload the bundle in a folder to a run and register it; no alias moves.

        Raises:
            RegistryUnavailable: the registry does not answer, or refuses.
        """
        with talking_to_mlflow(self.tracking_uri):
            from mlflow.exceptions import MlflowException

            client = self._client()
            client.log_artifacts(run_id, str(bundle_dir), BUNDLE_ARTIFACT)
            try:
                client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            # Resolved here, because the registry accepts no source outside the run's own artifacts.
            source = f"{client.get_run(run_id).info.artifact_uri}/{BUNDLE_ARTIFACT}"
            digests = {DIGEST_TAG + file: digest for file, digest in file_digests(bundle_dir).items()}
            return _registered(client.create_model_version(name, source, run_id, tags={**(tags or {}), **digests}))

    def versions(self, name: str = MODEL_NAME) -> list[RegisteredVersion]:
        """Return all versions of a model, the newest first.

        Raises:
            RegistryUnavailable: the registry does not answer.
        """
        with talking_to_mlflow(self.tracking_uri):
            client, token = self._client(), None
            found: list[RegisteredVersion] = []
            while True:
                page = client.search_model_versions(f"name='{name}'", page_token=token)
                found.extend(_registered(version) for version in page)
                token = page.token
                if not token:
                    return sorted(found, key=lambda version: -int(version.version))

    def aliases(self, name: str = MODEL_NAME) -> dict[str, str]:
        """Return what version each alias of a model names.

        Raises:
            RegistryUnavailable: the registry does not answer, or has no such model.
        """
        with talking_to_mlflow(self.tracking_uri):
            aliases = self._client().get_registered_model(name).aliases
            return {alias: str(version) for alias, version in aliases.items()}

    def promote(
        self, version: str, alias: str = CHAMPION, name: str = MODEL_NAME, reason: str | None = None
    ) -> None:
        """Let an alias name a version from now on, and remember which one it named before.

        Args:
            reason: why it was promoted although it is worse; kept as a tag of the version.

        Raises:
            RegistryUnavailable: the registry does not answer, or has no such version.
        """
        self.resolve(version, name)
        before = self.aliases(name).get(alias)
        with talking_to_mlflow(self.tracking_uri):
            client = self._client()
            if reason is not None:
                client.set_model_version_tag(name, version, REASON_TAG, reason)
            if before not in (None, version):
                client.set_registered_model_tag(name, PREVIOUS_TAG + alias, before)
            client.set_registered_model_alias(name, alias, version)

    def roll_back(self, alias: str = CHAMPION, name: str = MODEL_NAME) -> tuple[str, str]:
        """Let an alias name the version again that it named before; return the one it left, and that one.

        To roll back twice is to return.

        Raises:
            RegistryUnavailable: the registry does not answer, or the alias named no other version before.
        """
        current = self.resolve(alias, name).version
        with talking_to_mlflow(self.tracking_uri):
            previous = self._client().get_registered_model(name).tags.get(PREVIOUS_TAG + alias)
        if previous is None:
            raise RegistryUnavailable(f"The alias {alias!r} of {name!r} has named no version but {current}.")
        self.promote(previous, alias, name)
        return current, previous

    def _client(self) -> "MlflowClient":
        if self.tracking_uri.startswith(SQLITE):
            file = Path(self.tracking_uri.removeprefix(SQLITE))
            # Asked first, because MLflow would create an empty database where there is none, and would try for a
            # minute and a half to open a file of another kind.
            if not file.is_file():
                raise RegistryUnavailable(
                    f"There is no registry at {file}. Train a model first (`tollgate train`)."
                )
            with file.open("rb") as database:
                if database.read(len(_SQLITE_MAGIC)) != _SQLITE_MAGIC:
                    raise RegistryUnavailable(f"{file} is no SQLite database, so it is no registry.")
        return mlflow_client(self.tracking_uri)


def with_password_of(given: str, address: str) -> str:
    """Return an address with user and password of another one, where that is of the same place.

    >>> with_password_of("http://ada:secret@mlflow:5000", "http://mlflow:5000")
    'http://ada:secret@mlflow:5000'
    >>> with_password_of("http://ada:secret@elsewhere:5000", "http://mlflow:5000")
    'http://mlflow:5000'
    """
    return given if given and public_address(given) == address else address


def _check_registered(folder: Path, version: RegisteredVersion) -> None:
    """Check the files of a bundle against the registry.

    The files come from the artifact store, which may be another server, or a bucket that more can write to.
    Versions of earlier releases have no digests in the registry, and are as safe as their store.

    Raises:
        BundleRefused: a file is not the one that was registered; names it.
    """
    expected = {
        tag.removeprefix(DIGEST_TAG): digest for tag, digest in version.tags.items() if tag.startswith(DIGEST_TAG)
    }
    if expected:
        check_digests(folder, expected)


def _registered(version: "ModelVersion") -> RegisteredVersion:
    return RegisteredVersion(version.name, str(version.version), version.run_id or "", dict(version.tags))
