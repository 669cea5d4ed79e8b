"""``python -m cluster.ray_command start ...``: Ray's own command, with the password of its store kept from sight.

``ray start`` takes the password of the store of its GCS on its command line, and hands it on to others on theirs,
where everybody on the machine can read it. Here it comes from a file, and goes to the GCS, the only process that
connects to the store, by a variable of its environment: gflags reads flags from there too (``--fromenv``).
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cluster.hosts import GCS_PASSWORD_FILE
from cluster.secret_files import read_secret

FLAG: Final = "--redis_password="
VARIABLE: Final = "FLAGS_redis_password"
Start = Callable[..., Any]


def main() -> None:
    """Run Ray's command with the arguments of this one."""
    from ray._private import services
    from ray.scripts.scripts import cli

    arguments = sys.argv[1:]
    if file := os.environ.get(GCS_PASSWORD_FILE):
        services.start_ray_process = hiding(services.start_ray_process)
        services.start_raylet = without_password(services.start_raylet)
        services.start_ray_client_server = without_password(services.start_ray_client_server)
        arguments += ["--redis-password", read_secret(Path(file))]
    cli(args=arguments, prog_name="ray")


def hiding(start: Start) -> Start:
    """Return what starts a process as ``start`` does, with a password on the command line moved to a variable."""

    def hidden(command: Sequence[str], *arguments: Any, **options: Any) -> Any:
        passwords = [argument for argument in command if argument.startswith(FLAG)]
        if not passwords:
            return start(list(command), *arguments, **options)
        shown = [argument for argument in command if argument not in passwords]
        variables = (options.pop("env_updates", None) or {}) | {VARIABLE: passwords[-1].removeprefix(FLAG)}
        return start([*shown, "--fromenv=redis_password"], *arguments, env_updates=variables, **options)

    return hidden


def without_password(start: Start) -> Start:
    """Return what starts a part of Ray that never connects to the store, and so needs no password of it."""

    def started(*arguments: Any, **options: Any) -> Any:
        return start(*arguments, **(options | {"redis_password": None}))

    return started


if __name__ == "__main__":
    main()
