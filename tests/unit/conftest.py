"""Ray Serve is imported here, once: its own module warns of how it declares its fields."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import ray.serve  # noqa: F401
