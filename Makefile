# `make help` lists the targets.
PROFILE ?= sample
DATA ?=
VOTES ?=
SET ?=
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)

BIN := .venv/bin
READY := .venv/.ready
# DVC records an experiment as a git commit that is on no branch, which wants a name; one that you have set is used.
IDENTITY := $(if $(shell git config user.email),,GIT_AUTHOR_NAME=fer-study GIT_AUTHOR_EMAIL=fer-study@localhost GIT_COMMITTER_NAME=fer-study GIT_COMMITTER_EMAIL=fer-study@localhost)
export DVC_NO_ANALYTICS := true
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help study test test-all lint lab serve lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Settings of study: PROFILE=sample|cpu|full  DATA=fer2013.csv.gz  VOTES=fer2013new.csv  SET=\"replicate.epochs=2 tune.trials=3\""

study: $(READY) ## run the whole study: on drawn faces, or PROFILE=cpu DATA=fer2013.csv.gz
	@$(IDENTITY) dvc exp run -S profile=$(PROFILE) $(if $(DATA),-S 'prepare.path=$(DATA)') $(if $(VOTES),-S 'prepare.votes=$(VOTES)') $(foreach change,$(SET),-S '$(change)')
	@echo "The study is at $(CURDIR)/reports/index.html"

test: $(READY) lint ## lint, tests, and the notebooks' saved outputs
	pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-all: test ## what is slow as well: kills, fuzzing, load, browsers, README commands, real data
	pytest -m slow

lint: $(READY) ## check style and types
	ruff check .
	ruff format --check .
	mypy

lab: $(READY) ## open JupyterLab
	jupyter lab notebooks

serve: $(READY) ## serve the released model at http://127.0.0.1:5000
	fer-study serve

lock: $(READY) ## pin the newest versions of all dependencies (needs uv)
	uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra dev --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements.lock

clean: ## remove what the study made, but for data/raw, finished trainings and the environment
	rm -rf build dvc_plots reports/index.html
	find reports/notebooks reports/html reports/metrics reports/plots reports/figures reports/tables -type f ! -name .gitignore -delete
	find data -mindepth 1 -maxdepth 1 ! -name raw ! -name runs ! -name README.md ! -name .gitignore -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed, and none was found. On Debian or Ubuntu: sudo apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv. On Debian or Ubuntu: sudo apt-get install $$(basename $(PYTHON))-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
