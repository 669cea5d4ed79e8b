"""A cluster of three hosts in network namespaces loses each kind of host, and a link, under load."""

from collections.abc import Iterator

import pytest
from rich.console import Console

from cluster.processes import owned_by
from cluster.settings import PROJECT
from loadtests.chaos.hosts.campaign import run_host_trials
from loadtests.chaos.hosts.faults import FAULTS
from loadtests.chaos.hosts.hosts import Hosts, hosts
from tests.stack import TRANSACTIONS

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(2400),
    # Where MLflow's registry is a file, as in tests/parity.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]

RATE = 8.0
SECONDS = 15.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    home = tmp_path_factory.mktemp("hosts")
    registry = f"sqlite:///{home / 'mlflow.db'}"
    with hosts(home, PROJECT / "serve_config.yaml", registry, TRANSACTIONS) as found:
        yield found
    assert [owned_by(node.home) for node in found.nodes] == [[], [], []]


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_lost_host_loses_no_decision_and_counts_nothing_twice(cluster: Hosts, fault: str) -> None:
    result = run_host_trials(cluster, [fault], SECONDS, RATE, 1, Console(stderr=True))
    assert result.problems == []
    [row] = result.rows
    assert (row.failed, row.lost, row.counted_twice, row.uncounted) == (0, 0, 0, 0)
    assert cluster.whole()
