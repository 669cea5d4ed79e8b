"""Scoring a file through the live service: the command ``tollgate score``."""
