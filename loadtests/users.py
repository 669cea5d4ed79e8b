"""The simulated users: payment backends that ask for one decision at a time, and clients that send batches."""

from typing import Any

from locust import FastHttpUser, events, task
from locust.argument_parser import LocustArgumentParser

from loadtests.answers import batch_faults, check, fault_of
from loadtests.payments import payment


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: LocustArgumentParser) -> None:
    """Declare the options of these scenarios; ``locust --help`` and the web form show them."""
    parser.add_argument("--customers", type=int, env_var="LOCUST_CUSTOMERS", default=100_000, help="Customers.")
    parser.add_argument("--merchants", type=int, env_var="LOCUST_MERCHANTS", default=5_000, help="Merchants.")
    parser.add_argument(
        "--batch-size", type=int, env_var="LOCUST_BATCH_SIZE", default=100, help="Transactions a batch request."
    )
    parser.add_argument(
        "--think-time-ms",
        type=float,
        env_var="LOCUST_THINK_TIME_MS",
        default=0.0,
        help="Pause of a user between two requests; 0 asks for all that the service can do.",
    )


class Client(FastHttpUser):
    """What all users have in common."""

    abstract = True
    host = "http://127.0.0.1:8000"
    network_timeout = 10.0
    connection_timeout = 5.0

    def wait_time(self) -> float:
        """Return the pause before the next request, in seconds."""
        pause_ms: float = self.options.think_time_ms
        return pause_ms / 1000

    @property
    def options(self) -> Any:
        """What was given on the command line."""
        return self.environment.parsed_options

    def decide(self, body: dict[str, Any]) -> None:
        """POST /predict, and check the decision."""
        with self.client.post("/predict", json=body, catch_response=True) as response:
            check(response, lambda answer: [fault_of(answer, body)])

    def decide_many(self, bodies: list[dict[str, Any]]) -> None:
        """POST /predict/batch, and check each decision."""
        with self.client.post("/predict/batch", json=bodies, catch_response=True) as response:
            check(response, lambda answer: batch_faults(answer, bodies))

    def payment(self) -> dict[str, Any]:
        """Return the body of a payment of this moment."""
        return payment(self.options.customers, self.options.merchants)


class PaymentBackend(Client):
    """Asks for one decision at a time: nine of ten users."""

    weight = 9

    @task
    def predict(self) -> None:
        """POST /predict."""
        self.decide(self.payment())


class BulkClient(Client):
    """Sends batches: one of ten users."""

    weight = 1

    @task
    def predict_batch(self) -> None:
        """POST /predict/batch."""
        self.decide_many([self.payment() for _ in range(self.options.batch_size)])
