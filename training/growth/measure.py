"""One size: simulate (or ingest) and train as a user would, in a process of its own that is watched."""

import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from training.growth.process_memory import PeakMemory, Steps

LAST: Final = "stop"
"""The step after the last one: Ray stops."""


class Step(BaseModel):
    """What one step took: seconds, and the most memory of all processes in MiB."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float
    peak_mib: float


class Growth(BaseModel):
    """What one size took.

    Attributes:
        transactions: of the history.
        steps: name to time and memory, in order.
        seconds: of ingesting and training, to the registered version; simulating is no part of it.
        peak_mib: the most memory of all processes at any time, simulating included.
        files_mib: the most that temporary files took.
        lr_iterations, lr_steps, xgb_rounds: of the fit, on which its time depends.
        average_precision: of the ensemble on the test period: that the models are worth the time.
        load_average: of the machine over the last 15 minutes at the end; above its cores, others had their share.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    transactions: int
    steps: dict[str, Step]
    seconds: float
    peak_mib: float
    files_mib: float
    lr_iterations: int
    lr_steps: int
    xgb_rounds: int
    average_precision: float
    load_average: float


class MeasuredRunFailed(Exception):
    """The process that was measured ended with an error, which it has printed."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Where a run works.

    Attributes:
        source: a folder to ingest, which stays; None: simulate one.
        mapping: for the ingestion.
    """

    folder: Path
    transactions: int
    source: Path | None
    mapping: str

    @property
    def history(self) -> Path:
        """The history folder."""
        return self.folder / "history"


def measure(
    home: Path,
    transactions: int,
    source: Path | None = None,
    mapping: str = "tollgate",
    *,
    entering: Callable[[str], None] = lambda _: None,
) -> Growth:
    """Return what one size took; its files are gone afterwards.

    Args:
        home: folder for history, registry and temporary files, in a folder of their own.
        transactions: to simulate.
        source: a table to ingest instead; mapping: for it.
        entering: called with the name of each step once it has begun.

    Raises:
        MeasuredRunFailed: a step failed.
    """
    folder = Path(tempfile.mkdtemp(prefix="growth-", dir=home))
    try:
        return _measured(_Run(folder, transactions, source, mapping), entering)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measured(run: _Run, entering: Callable[[str], None]) -> Growth:
    temporary = run.folder / "tmp"
    temporary.mkdir()
    steps = Steps(run.folder / "steps")
    # Spawned and not forked: it begins small.
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(run, temporary))
    process.start()
    assert process.pid is not None
    with PeakMemory(process.pid, steps.current, temporary, entering) as memory:
        process.join()
    if process.exitcode:
        raise MeasuredRunFailed(
            f"The run of {run.transactions:,} transactions ended with code {process.exitcode}."
        )
    facts = json.loads((run.folder / "facts.json").read_text("utf-8"))
    begun = steps.begun()
    seconds = {name: after - when for (name, when), (_, after) in pairwise(begun)}
    return Growth(
        steps={name: Step(seconds=seconds[name], peak_mib=memory.peaks_mib.get(name, 0.0)) for name in seconds},
        seconds=sum(value for name, value in seconds.items() if name != "simulate"),
        peak_mib=max(memory.peaks_mib.values()),
        files_mib=memory.largest_files_mib,
        load_average=os.getloadavg()[2],
        **facts,
    )


def _work(run: _Run, temporary: Path) -> None:
    """Simulate or ingest, and train; runs in the process that is watched.

    Each is a process of its own, as the commands are: what one leaves in memory does not count for the next.
    """
    # Sockets of Ray lie in its folder, and the path of a socket must be short.
    os.environ.setdefault("RAY_TMPDIR", tempfile.gettempdir())
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    for part in (_bring, _train):
        process = multiprocessing.get_context("spawn").Process(target=part, args=(run,))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)


def _bring(run: _Run) -> None:
    from training.ingest import ingest
    from training.ingestion.mapping import load_mapping
    from training.simulate import simulate

    steps = Steps(run.folder / "steps")
    if run.source is None:
        steps.enter("simulate")
        simulate(run.history, transactions=run.transactions, show_progress=False)
    else:
        steps.enter("ingest")
        ingest(run.source, run.history, load_mapping(run.mapping), show_progress=False)


def _train(run: _Run) -> None:
    from training.history_files import read_history
    from training.train import train

    steps = Steps(run.folder / "steps")
    report = train(
        run.history,
        tracking_uri=f"sqlite:///{run.folder}/mlflow.db",
        show_progress=False,
        entering=steps.enter,
    )
    steps.enter(LAST)
    facts = {
        "transactions": read_history(run.history).count_rows(),
        "lr_iterations": report.facts.lr_iterations,
        "lr_steps": report.facts.lr_steps,
        "xgb_rounds": report.facts.xgb_rounds,
        "average_precision": report.metrics["ensemble"].average_precision,
    }
    (run.folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
