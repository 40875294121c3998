# Every command makes the environment it needs first: Python packages in VENV, front-end packages
# in node_modules. Nothing is needed for that but Python 3.11 or newer, git and make.

VENV ?= .venv
PORT ?= 8000

READY = $(VENV)/ready
FRONT_END = node_modules/.package-lock.json
WHEELS = $(VENV)/wheels/ready
RUN = NO_MKDOCS_2_WARNING=1 PATH="$(abspath $(VENV))/bin:$$PATH"

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

setup: $(READY) $(FRONT_END) $(WHEELS) ## make the environment in .venv, or in the folder given as VENV=

serve: setup ## serve the guide on 127.0.0.1:8000, or on the port given as PORT=
	@$(RUN) python -m tools.doctor port $(PORT)
	@$(RUN) mkdocs serve --livereload --dev-addr 127.0.0.1:$(PORT)

test: setup ## run every test
	@$(RUN) python -m tools.doctor chromium && $(RUN) python -m tools.doctor postgres
	@$(RUN) pytest --numprocesses=auto --dist=loadgroup --cov

check: setup ## check format, lint and types
	@$(RUN) python -m tools.format --check && $(RUN) ruff check --quiet .
	@$(RUN) mypy && $(RUN) pyright
	@$(RUN) npm run --silent check

examples: setup ## make outputs, sessions and diagrams anew
	@$(RUN) python -m tests.guide.programs

bench: setup ## compare the speed with other libraries and a hand-written floor
	@$(RUN) python -m benchmarks

site: setup ## build the guide as a static site, in site
	@$(RUN) mkdocs build --strict

$(READY): pyproject.toml requirements.lock tools/environment.py
	@python=$$(tools/find-python) && "$$python" -m tools.environment python "$(VENV)"

$(FRONT_END): package-lock.json | $(READY)
	@"$(VENV)/bin/python" -m tools.environment front-end "$(VENV)"

$(WHEELS): requirements.lock package-lock.json tools/environment.py | $(READY) $(FRONT_END)
	@"$(VENV)/bin/python" -m tools.environment wheels "$(VENV)"

.PHONY: help setup serve test check examples bench site
