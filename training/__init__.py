"""Raw history to registered bundle, one module a step, in pipeline order."""
