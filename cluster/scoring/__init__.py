"""Files through the live service: the commands ``tollgate score`` and ``tollgate labels``."""
