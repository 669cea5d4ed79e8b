"""``locust -f loadtests/locustfile.py,loadtests/scenarios/staged.py --stages 20x4,30x64``: any plan of load."""

from locust import events
from locust.argument_parser import LocustArgumentParser

from loadtests.shapes import Staged

__all__ = ["Staged"]


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: LocustArgumentParser) -> None:
    """Declare the plan."""
    parser.add_argument("--stages", required=True, help="SECONDSxUSERS, separated by commas.")
