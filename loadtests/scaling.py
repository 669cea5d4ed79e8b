"""Show that the cluster scales itself: a load in steps, the replicas that answer it, and what clients see.

    python -m loadtests.scaling --home .tollgate --results results/scaling

The delays of ``serve_config.yaml`` are made for days, not for a test of minutes. So the command deploys a copy of
the config in which every ``upscale_delay_s`` and ``downscale_delay_s`` is short, and in the end the config as it
was. A small machine is full before any loop of it is as busy as its target: there ``--target-share`` lowers every
target in the copy. It leaves ``scaling.csv``, ``scaling.png`` and locust's own files in the results folder, and
fails when a request failed, or when no deployment scaled up and came back.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from cluster.reporting import Home, reporting, standing_settings
from cluster.serve_config import config_to_deploy
from cluster.serve_rest import Application, applications, deploy, wait_until_running
from cluster.settings import ClusterSettings
from features.errors import ClusterError
from loadtests.locust_process import run_locust
from loadtests.results import read_failures, read_moments, read_totals
from loadtests.run import Load, Outcome, Scenario, Traffic, report
from loadtests.scaling_plot import write_plot
from loadtests.scaling_samples import Course, Replicas, Second, courses, join, write_csv
from loadtests.stages import Stage, duration_s, parse_stages
from loadtests.thresholds import Thresholds
from loadtests.with_echo import patient

PLAN: Final = "20x8,30x64,60x256,75x8"
"""Seconds x users. Each user pauses between requests, so that the load follows the users; the last stage is the
small load under which replicas must leave without a failed request."""
ASK_TIMEOUT_S: Final = 3.0
SETTLE_S: Final = 2.0
"""Serve takes a new config a moment after it accepted it."""


@dataclass(slots=True)
class Sampler:
    """Asks Serve for its replicas when told to; a moment in which it does not answer is a gap, and counted."""

    ask: Callable[[], list[Application]]
    clock: Callable[[], float] = time.time
    samples: list[Replicas] = field(default_factory=list)
    missed: int = 0

    def __call__(self, _: float) -> None:
        """Take one sample."""
        try:
            self.samples.append(Replicas.of(self.clock(), self.ask()))
        except ClusterError:
            self.missed += 1


@dataclass(frozen=True, slots=True)
class Haste:
    """How the copy of the config differs: delays in seconds, the share of each target that it keeps, the deadline.

    Attributes:
        deadline_ms: of a decision; None: that of the config.
    """

    upscale_delay_s: float = 3
    downscale_delay_s: float = 12
    target_share: float = 1
    deadline_ms: float | None = None

    def __str__(self) -> str:
        delays = f"{self.upscale_delay_s:g} s up, {self.downscale_delay_s:g} s down"
        targets = f"; {self.target_share:g} of each target" if self.target_share != 1 else ""
        deadline = "" if self.deadline_ms is None else f"; deadline {self.deadline_ms:g} ms"
        return f"delays {delays}{targets}{deadline}"

    def of(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of a Serve config in which each deployment that scales does so in haste."""
        changed = copy.deepcopy(config)
        for application in changed["applications"]:
            for deployment in application.get("deployments", []):
                if "autoscaling_config" in deployment:
                    # In its place, not in itself: YAML lets deployments share one.
                    deployment["autoscaling_config"] = self._scaling(deployment["autoscaling_config"])
        return changed if self.deadline_ms is None else patient(changed, self.deadline_ms)

    def _scaling(self, own: dict[str, Any]) -> dict[str, Any]:
        delays = {"upscale_delay_s": self.upscale_delay_s, "downscale_delay_s": self.downscale_delay_s}
        policy = own["policy"]
        kwargs = policy["policy_kwargs"]
        target = {"target": kwargs["target"] * self.target_share}
        return own | delays | {"policy": policy | {"policy_kwargs": kwargs | target}}


@contextmanager
def deployed_with(settings: ClusterSettings, haste: Haste, say: Callable[[str], None]) -> Iterator[None]:
    """Deploy a copy of the config of a stack that scales in haste, and in the end the config itself.

    Raises:
        ClusterError: Serve refused it, or it did not come up.
    """
    _, config = config_to_deploy(settings)
    say(f"Deploying a copy of {settings.config.name}: {haste}.")
    deploy(settings, haste.of(config))
    try:
        time.sleep(SETTLE_S)  # Serve shows the old state until its controller has taken the config.
        wait_until_running(settings, lambda _: None)
        yield
    finally:
        deploy(settings, config)
        say(f"Deployed {settings.config.name} again.")


def verdict(found: Sequence[Course], broken: Sequence[str]) -> list[str]:
    """Return a sentence for each thing that a cluster that scales must not show."""
    sentences = list(broken)
    if not any(course.most > course.first for course in found):
        sentences.append(
            "No deployment scaled up: none was busy beyond its target. Give more users in --stages, or, where the"
            " machine is full of other work, another machine."
        )
    sentences += [
        f"{course.name} scaled up and did not come back; a longer last stage, or is its load still above target?"
        for course in found
        if course.last > course.first
    ]
    return sentences


def summary(found: Sequence[Course], stages: Sequence[Stage], seconds: Sequence[Second]) -> Table:
    """Return the courses of all deployments for the terminal."""
    table = Table(
        "", title=f"Replicas in {seconds[-1].time_s:.0f} s of {_words(stages)} users", title_justify="left"
    )
    for column in ("at first", "most", "at last", "more after", "back after"):
        table.add_column(column, justify="right")
    for course in found:
        times = ("-" if t is None else f"{t:.0f} s" for t in (course.rose_s, course.fell_s))
        table.add_row(course.name, str(course.first), str(course.most), str(course.last), *times)
    return table


def _words(stages: Sequence[Stage]) -> str:
    return ", ".join(str(stage.users) for stage in stages)


def scale(load: Load, settings: ClusterSettings, folder: Path, haste: Haste) -> "Run":
    """Run a staged load against a stack and return what it showed; the stack has its own config afterwards.

    Args:
        folder: of locust's results, absolute; made when it is missing.
        haste: of the copy of the config that is deployed meanwhile.

    Raises:
        ClusterError: Serve refused the config, it did not come up, or the dashboard never answered.
        LoadTestFailed: locust did not run to its end.
    """
    command = load.command(folder)
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    sampler = Sampler(lambda: applications(settings, ASK_TIMEOUT_S))
    with deployed_with(settings, haste, console.print), console.status("Running the load"):
        watched = run_locust(command, folder, load.duration_s, sampler)
    if not sampler.samples:
        raise ClusterError(f"Ray's dashboard at {settings.dashboard_url} never answered within {ASK_TIMEOUT_S} s.")
    outcome = Outcome(tuple(read_totals(folder)), tuple(read_failures(folder)), watched)
    return Run(join(sampler.samples, read_moments(folder)), sampler.missed, outcome)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run showed: second by second, samples that the dashboard did not give, and locust's totals."""

    seconds: list[Second]
    missed: int
    outcome: Outcome


def main(
    home: Home = None,
    results: Annotated[Path, typer.Option(help="Folder of what is measured.")] = Path("results/scaling"),
    stages: Annotated[str, typer.Option(help="The load: SECONDSxUSERS,...")] = PLAN,
    traffic: Annotated[Traffic, typer.Option(help="What the users send.")] = Traffic.SINGLE,
    think_time_ms: Annotated[float, typer.Option(min=0, help="Pause of a user between requests.")] = 100,
    batch_size: Annotated[int, typer.Option(min=1, help="Transactions a bulk request.")] = 100,
    processes: Annotated[int, typer.Option(min=1, help="Locust processes.")] = 1,
    upscale_delay_s: Annotated[float, typer.Option(min=0, help="In the copy of the config.")] = 3,
    downscale_delay_s: Annotated[float, typer.Option(min=0, help="In the copy of the config.")] = 12,
    target_share: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of each deployment's target in the copy of the config.")
    ] = 1,
    deadline_ms: Annotated[
        float | None,
        typer.Option(
            min=1, help="Of a decision, in the copy of the config: new replicas start on the same cores."
        ),
    ] = None,
) -> None:
    """Run a load in steps against a stack of this machine, and show how its replicas follow."""
    folder = results.resolve()
    haste = Haste(upscale_delay_s, downscale_delay_s, target_share, deadline_ms)
    with reporting():
        settings = standing_settings(home)
        plan = _plan(stages)
        load = Load(
            scenario=Scenario.STAGED,
            traffic=traffic,
            host=settings.http_url,
            duration_s=duration_s(plan),
            stages=stages,
            think_time_ms=think_time_ms,
            batch_size=batch_size,
            processes=processes,
        )
        run = scale(load, settings, folder, haste)
    write_csv(folder / "scaling.csv", run.seconds)
    write_plot(folder / "scaling.png", run.seconds, plan, f"{traffic} traffic; {haste}")
    found, console = courses(run.seconds), Console()
    console.print(summary(found, plan, run.seconds))
    console.print(f"{len(run.seconds)} samples of the replicas; {run.missed} times the dashboard did not answer.")
    problems = verdict(found, Thresholds().broken(run.outcome.all))
    report(run.outcome, problems, results, console)
    if problems:
        raise typer.Exit(1)


def _plan(stages: str) -> tuple[Stage, ...]:
    try:
        return parse_stages(stages)
    except ValueError as error:
        raise ClusterError(f"{error}.") from error


if __name__ == "__main__":
    typer.run(main)
