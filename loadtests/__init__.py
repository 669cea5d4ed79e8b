"""Load tests: locust scenarios, wrk, and the echo that figures are ratios of. See README.md."""
