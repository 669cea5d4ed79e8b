"""Ray Serve is imported here once, because its own module warns of how it declares its fields."""

import warnings

from hypothesis import settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import ray.serve  # noqa: F401

# How long an example takes depends on the machine; pytest's own timeout ends what hangs.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
