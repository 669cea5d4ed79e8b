"""Beginnings of HAProxy configurations as Serve writes them."""

from typing import Final

DEFAULTS: Final = """\
global
    maxconn 100
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 90s
    timeout server 90s
    errorfile 503 {folder}/500.http
"""
