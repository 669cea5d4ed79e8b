"""How Tollgate runs: the one-machine launcher behind the command ``tollgate``."""
