"""Tuning: parameters of a fit, searched on weeks that are earlier than those that are reported."""
