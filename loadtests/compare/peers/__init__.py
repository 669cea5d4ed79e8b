"""The peers' servers. Those of other frameworks run in environments of their own, never in the project's."""
