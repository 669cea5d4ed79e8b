"""Locust scenarios: payment backends that ask for one decision at a time, and clients that send batches.

    locust -f loadtests/locustfile.py --headless -u 32 -r 32 -t 60s

Name a class at the end of the command to run it alone. ``python -m loadtests.run`` runs this file with a shape of
load, keeps the results and holds them against thresholds.
"""

from loadtests.users import BulkClient, PaymentBackend

__all__ = ["BulkClient", "PaymentBackend"]
