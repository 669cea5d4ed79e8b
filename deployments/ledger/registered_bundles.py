"""Bundles by version, each loaded once."""

from training.registry import Bundle, Registry


class RegisteredBundles:
    """Gives the bundle of a model's name, version and fingerprint.

    Args:
        tracking_uri: of the registry.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._registry = Registry(tracking_uri)
        self._loaded: dict[tuple[str, str, str], Bundle] = {}

    def __call__(self, name: str, version: str, fingerprint: str) -> Bundle:
        """Return a bundle.

        Raises:
            BundleRefused, RegistryUnavailable: it cannot be loaded.
        """
        wanted = (name, version, fingerprint)
        if wanted not in self._loaded:
            self._loaded[wanted], _ = self._registry.load(name, version, fingerprint)
        return self._loaded[wanted]
