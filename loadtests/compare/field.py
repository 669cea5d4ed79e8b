"""Everybody who takes part: installed, started, checked, and in the same state before each repetition."""

import hashlib
import os
import random
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cluster.environment import FOREIGN
from cluster.processes import VALKEY, owned_by
from features.definitions import fingerprint
from features.online import OnlineStore
from loadtests.compare import store
from loadtests.compare.answers import check
from loadtests.compare.bodies import takes_vectors, write_bulk, write_vectors
from loadtests.compare.environments import programs
from loadtests.compare.errors import PeerUnavailable
from loadtests.compare.measure import Target
from loadtests.compare.payments import payment, rank, vectors
from loadtests.compare.processes import Processes, serving
from loadtests.compare.stack import Stack
from loadtests.compare.systems import Server, System, select
from training.registry import CHAMPION, MODEL_NAME, Registry

PROJECT: Final = Path(__file__).resolve().parents[2]
PORTS_EACH: Final = 10
VECTORS: Final = 1000
"""Distinct feature vectors that are sent to those who take vectors."""


class Field:
    """The systems that stand.

    Args:
        stack: Tollgate's own; its store and its registry are everybody's.
        home: folder for environments, models, bodies and logs.
        port_base: first port of the peers.
        customers, rounds: see :func:`loadtests.compare.store.reset`.

    Attributes:
        targets: the systems that can be measured.
        unavailable: the others, each with its reason.
        version: of the bundle that all score with.
    """

    def __init__(self, stack: Stack, home: Path, port_base: int, customers: int, rounds: int) -> None:
        self.targets: list[Target] = []
        self.unavailable: dict[str, str] = {}
        self.client = store.connect(stack.redis_url)
        self._stack, self._home, self._port_base = stack, home, port_base
        self._customers, self._rounds = customers, rounds
        self._bundle, registered = Registry(stack.tracking_uri).load(MODEL_NAME, CHAMPION, fingerprint())
        self._bundle.save(home / "bundle")
        self.version = registered.version
        self._online = OnlineStore(self.client)
        self._own = serving(stack.home, stack.http_url) if stack.home else None
        self._peers: list[Processes] = []
        self._short = Path(tempfile.gettempdir()) / f"tgc-{hashlib.sha256(str(home).encode()).hexdigest()[:8]}"

    @property
    def store_processes(self) -> Processes | None:
        """The online store's processes; None when it is not the stack's own."""
        home = self._stack.home
        return Processes(home, "", VALKEY) if home and owned_by(home, VALKEY) else None

    def enter(self, system: System) -> str:
        """Bring one system in; return why it cannot be measured, "" when it can."""
        try:
            target = self._started(system)
            check(system, target.url, self._bundle, self._online)
        except PeerUnavailable as error:
            self.unavailable[system.name] = str(error)
            return str(error)
        self.targets.append(target)
        return ""

    def refresh(self) -> None:
        """Give the store the same history again, and make the bodies anew, so that their payments are of now."""
        store.reset(self.client, self._customers, self._rounds)
        chance, now_s, run = random.Random(2), time.time(), uuid.uuid4().hex[:12]
        payments = [
            payment(rank(self._customers, chance), f"{run}-{number}", now_s, chance) for number in range(VECTORS)
        ]
        matrix = vectors(self._online, payments)
        for target in self.targets:
            if target.bodies is None:
                continue
            if takes_vectors(target.system.body):
                write_vectors(target.system.body, target.bodies, matrix)
            else:
                write_bulk(target.system.body, target.bodies, self._customers, now_s)

    def stop(self) -> None:
        """End all peers; Tollgate's own stack stays."""
        for processes in self._peers:
            processes.stop()
        shutil.rmtree(self._short, ignore_errors=True)
        self.client.close()

    def _started(self, system: System) -> Target:
        bodies = None if system.body == "payment" else self._home / "bodies" / f"{system.name}.bodies"
        if bodies:
            bodies.parent.mkdir(parents=True, exist_ok=True)
        if system.server is None:
            return Target(system, self._stack.http_url + system.path, self._own, bodies)
        port = self._port_base + PORTS_EACH * [s.name for s in select(())].index(system.name)
        address = f"http://127.0.0.1:{port}"
        home = self._home / "run" / system.name
        processes = Processes(home, address + system.server.ready)
        self._peers.append(processes)
        self._start(system.server, processes, port)
        return Target(system, address + system.path, processes, bodies)

    def _start(self, server: Server, processes: Processes, port: int) -> None:
        folder = processes.home
        folder.mkdir(parents=True, exist_ok=True)
        bin_folder = programs(server.requirements, self._home / "environments")
        environment = self._environment(bin_folder, folder)
        places = {"bin": str(bin_folder), "port": str(port), "folder": str(folder)}
        if server.prepare:
            command = [part.format(**places) for part in server.prepare]
            run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
            if run.returncode:
                raise PeerUnavailable(f"not prepared: {(run.stderr.strip().splitlines() or ['no output'])[-1]}")
        processes.start([part.format(**places) for part in server.start], environment)

    def _environment(self, bin_folder: Path, folder: Path) -> Mapping[str, str]:
        """Return what a peer finds in its environment: this shell's, without what belongs to Tollgate's Ray."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in FOREIGN and not name.startswith(("RAY_", "MLFLOW_", "TOLLGATE_"))
        }
        return inherited | {
            "PATH": f"{bin_folder}:{inherited.get('PATH', '')}",
            "PYTHONPATH": str(PROJECT),
            "COMPARE_BUNDLE": str(self._home / "bundle"),
            "COMPARE_REDIS_URL": self._stack.redis_url,
            # A socket's path may have 107 bytes, and Ray appends more than 60 of its own.
            "COMPARE_SHORT_FOLDER": str(self._short),
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            # As Tollgate's: else the client on this machine would go before a peer's replicas.
            "RAY_worker_niceness": "0",
            # As Tollgate's: processes are the parallelism, and the batches are small.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
