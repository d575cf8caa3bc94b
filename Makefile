# `make demo` and `make test` set up everything they need; the other targets are for developing the package.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PYTHONS := 3.12 3.13
SERVERS ?= on
RULES := collector-config/prometheus/ha_ingestor.rules.yml
API := docs/reference/api.md
MOVE := docs/how-to/move-from-ha-ingestor.md
PYTEST := -m pytest -n auto --maxprocesses 4 --dist loadgroup

# The files that are rendered from our catalogs, each kind into its folder below the one given.
define render
$(BIN)/python -m otel_ha.render reference --out $(1)docs/reference
$(BIN)/python -m otel_ha.render rules --out $(1)collector-config/prometheus
$(BIN)/python -m otel_ha.render alerts --out $(1)collector-config/prometheus
$(BIN)/python -m otel_ha.render alerts-reference --out $(1)docs/reference
$(BIN)/python -m otel_ha.render registry --out $(1)docs/reference/registry
$(BIN)/python -m otel_ha.render alertmanager --out $(1)collector-config/alertmanager
$(BIN)/python -m otel_ha.render dashboards --format grafana --out $(1)collector-config/grafana/dashboards
$(BIN)/python -m otel_ha.render dashboards --format vmui --out $(1)collector-config/victoriametrics/dashboards
endef

FAULTS := tests/faults/results.json

.PHONY: help demo stack test fuzz soak floor newest pythons package check bench reliability docs picture servers clean
.DEFAULT_GOAL := help

help:
	@echo "make demo        run the example ingestor on a synthetic home for 30 seconds (ARGS='--duration 60 --json')"
	@echo "make stack       run the home stack (VictoriaMetrics, vmalert, Alertmanager) on the demo, until Ctrl-C (ARGS=--traces-logs: also Jaeger, VictoriaLogs)"
	@echo "make test        install the tests' dependencies, then run all tests (SERVERS=off: without building servers)"
	@echo "make soak        let entities, connections, set-ups and forked children come and go for ten minutes in all, and show the growth (ARGS='--soak 3600'; two minutes at least)"
	@echo "make fuzz        try random hostile input for five minutes (ARGS='--minutes 30 --target recording')"
	@echo "make floor       run the tests on the oldest supported versions of the dependencies"
	@echo "make newest      run the tests that depend on OpenTelemetry's internals on its newest supported version"
	@echo "make pythons     run the tests on Python 3.12 and 3.13, found on PATH or in pyenv; a missing one is skipped"
	@echo "make package     build wheel and sdist, check their contents, install and run them in new environments"
	@echo "make reliability stage every fault of the fault suite in about six minutes, and render docs/reliability.md (ARGS='-k minute')"
	@echo "make check       linters, types, import contracts, generated pages"
	@echo "make servers     install the servers that the tests need into a cache (ALL=1: also Alertmanager, Thanos, Jaeger, VictoriaLogs, Chromium, Home Assistant)"
	@echo "make docs        render the reference pages again"
	@echo "make picture     take the README's picture of the status page from the demo, in a minute"
	@echo "make bench       run the benchmarks, side by side with peers"

$(VENV)/demo.stamp: pyproject.toml constraints.txt
	@echo "Setting up $(VENV) for the demo (about a minute, once) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name it with PYTHON=..." if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt
	@echo "Setting up $(VENV) for tests and checks (about a minute, once) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name it with PYTHON=..." if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp
	@$(BIN)/python -m examples.demo $(ARGS)

stack: $(VENV)/demo.stamp
	@$(PYTHON) tests/servers/install.py victoria-metrics alertmanager $(if $(findstring --traces-logs,$(ARGS)),jaeger victoria-logs)
	@$(BIN)/python -m examples.stack $(ARGS)

test: $(VENV)/dev.stamp $(if $(filter off,$(SERVERS)),,servers)
	$(BIN)/python $(PYTEST) $(ARGS)

soak: $(VENV)/dev.stamp $(if $(filter off,$(SERVERS)),,servers)
	$(BIN)/python -m pytest -n0 -s tests/faults/test_churn.py --soak 600 $(ARGS)

fuzz: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.fuzz $(ARGS)

$(VENV)-floor/stamp: pyproject.toml constraints-floor.txt
	@echo "Setting up $(VENV)-floor with the oldest supported dependencies (about a minute, once) ..."
	@$(PYTHON) -m venv $(VENV)-floor
	@$(VENV)-floor/bin/pip install --quiet --disable-pip-version-check -c constraints-floor.txt -e '.[test]'
	@touch $@

floor: $(VENV)-floor/stamp
	$(VENV)-floor/bin/python $(PYTEST) tests/unit tests/property tests/e2e $(ARGS)

newest:
	@echo "Setting up $(VENV)-newest with the newest supported OpenTelemetry (about a minute) ..."
	@$(PYTHON) -m venv $(VENV)-newest
	@grep -v '^opentelemetry' constraints.txt > $(VENV)-newest/constraints.txt
	@$(VENV)-newest/bin/pip install --quiet --disable-pip-version-check --upgrade -c $(VENV)-newest/constraints.txt -e '.[test]'
	$(VENV)-newest/bin/python $(PYTEST) tests/unit/test_journal.py tests/unit/test_observed.py tests/unit/test_telemetry.py \
	  tests/unit/test_transport.py tests/unit/test_exposition.py tests/property tests/e2e/test_private_names.py $(ARGS)

pythons:
	@$(PYTHON) tests/pythons.py $(VENV) "$(PYTHONS)" $(PYTEST) tests/unit tests/property tests/e2e $(ARGS)

package:
	@$(PYTHON) -m tests.package $(VENV) "$(PYTHONS)"

bench: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks $(ARGS)
	@$(if $(ARGS),,$(BIN)/python -m benchmarks.report < benchmarks/results.json > docs/performance.md)
	@$(if $(ARGS),,$(BIN)/python -m benchmarks.picture < benchmarks/results.json > docs/images/growth.svg)

reliability: $(VENV)/dev.stamp servers
	@$(if $(ARGS),,rm -f $(FAULTS))
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/faults --faults-results $(FAULTS) $(ARGS)
	@$(BIN)/python -m tests.faults.report < $(FAULTS) > docs/reliability.md

servers:
	@$(PYTHON) tests/servers/install.py $(if $(ALL),--all)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@rm -rf $(VENV)/rendered
	$(call render,$(VENV)/rendered/)
	@cd $(VENV)/rendered && find . -type f | sort | while read -r file; do \
	  diff -u "$(CURDIR)/$$file" "$$file" || { echo "$$file is out of date: make docs"; exit 1; }; done
	$(BIN)/python -m otel_ha.render api < $(API) | diff - $(API)
	$(BIN)/python -m otel_ha.config.reference | diff - docs/reference/settings.md
	$(BIN)/python -m otel_ha.cli.reference | diff - docs/reference/cli.md
	$(BIN)/python -m otel_ha.compat.old_names | diff - $(RULES)
	$(BIN)/python -m otel_ha.compat.old_names page < $(MOVE) | diff - $(MOVE)
	$(BIN)/python -m otel_ha.serve.summary.reference | diff - docs/reference/summary.md
	$(BIN)/python -m otel_ha.serve.summary.reference schema | diff - docs/reference/summary.schema.json
	$(BIN)/python -m benchmarks.picture < benchmarks/results.json | diff - docs/images/growth.svg
	$(BIN)/python -m tests.faults.report < $(FAULTS) | diff - docs/reliability.md

docs: $(VENV)/dev.stamp
	$(call render,)
	@$(BIN)/python -m otel_ha.render api < $(API) > $(API).new && mv $(API).new $(API)
	$(BIN)/python -m otel_ha.config.reference > docs/reference/settings.md
	$(BIN)/python -m otel_ha.cli.reference > docs/reference/cli.md
	$(BIN)/python -m otel_ha.compat.old_names > $(RULES)
	@$(BIN)/python -m otel_ha.compat.old_names page < $(MOVE) > $(MOVE).new && mv $(MOVE).new $(MOVE)
	$(BIN)/python -m otel_ha.serve.summary.reference > docs/reference/summary.md
	$(BIN)/python -m otel_ha.serve.summary.reference schema > docs/reference/summary.schema.json
	$(BIN)/python -m benchmarks.report < benchmarks/results.json > docs/performance.md
	$(BIN)/python -m benchmarks.picture < benchmarks/results.json > docs/images/growth.svg
	$(BIN)/python -m tests.faults.report < $(FAULTS) > docs/reliability.md

picture: $(VENV)/dev.stamp
	@$(BIN)/python -m docs.picture

clean:
	rm -rf $(VENV)* dist .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
