# `make help` lists the targets.
PROFILE ?= sample
DATA ?=
VOTES ?=
SET ?=
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)

BIN := .venv/bin
# The server needs few packages, the study more, and the tests all. A file marks each set that is installed.
SERVE := .venv/.ready-serve
STUDY := .venv/.ready
DEV := .venv/.ready-dev
# Paths are passed through the environment, unchanged: a file's name may contain any sign, $ and ' included.
override DATA := $(value DATA)
override VOTES := $(value VOTES)
export DATA VOTES
# What the page needs to answer on the visitor's device, of the many builds in the npm package.
RUNTIME := web/onnxruntime-web
RUNTIME_FILES := ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm
export DVC_NO_ANALYTICS := true
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help study report speedrun test test-all lint lab serve on-device lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Settings of study: PROFILE=sample|cpu|full|published  DATA=fer2013.csv.gz  VOTES=fer2013new.csv  SET=\"replicate.epochs=2 tune.trials=3\""

study: $(STUDY) ## run the whole study: on drawn faces, or on yours with DATA=fer2013.csv.gz, at length with PROFILE=cpu
	@fer-study study --profile '$(PROFILE)' --data "$$DATA" --votes "$$VOTES" $(foreach change,$(SET),--set '$(change)')

report: $(STUDY) ## render the committed results on your FER-2013, without training: DATA=fer2013.csv.gz
	@fer-study study --profile published --data "$$DATA" --votes "$$VOTES" $(foreach change,$(SET),--set '$(change)')

speedrun: $(STUDY) ## train a network on your FER-2013 for some minutes, to 64 %: DATA=fer2013.csv.gz
	@test -n "$$DATA" || { echo "make speedrun: expected your FER-2013, found none. Name it: make speedrun DATA=path/to/fer2013.csv"; exit 1; }
	@fer-study prepare --path "$$DATA" --out data/speedrun
	@fer-study train speedrun --data data/speedrun

test: $(DEV) lint ## lint, tests, and the notebooks' saved outputs
	pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-all: test ## add the slow tests: kills, fuzzing, load, browsers, README's commands, real data
	pytest -m slow

lint: $(DEV) ## check style and types
	ruff check .
	ruff format --check .
	mypy
	lint-imports

lab: $(STUDY) ## open JupyterLab
	jupyter lab --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate notebooks

serve: $(SERVE) ## serve the released model at http://127.0.0.1:5000
	fer-study serve

on-device: $(RUNTIME) ## install onnxruntime-web with npm, so that the page can answer on the visitor's device

lock: $(DEV) ## pin the newest versions of all dependencies
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra dev --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements.lock

clean: ## remove what the pipeline made; your files, exported models, trainings and searches stay
	rm -rf build dvc_plots reports/index.html data/prepared data/speedrun data/replicate data/tune data/final_model data/export
	find reports/notebooks reports/html reports/metrics reports/findings reports/plots reports/figures reports/tables -type f ! -name .gitignore -delete

$(RUNTIME): web/package.json web/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed, and was not found. On Debian or Ubuntu: sudo apt-get install npm"; exit 1; }
	npm ci --prefix web --ignore-scripts --no-audit --no-fund
	cd web/node_modules/onnxruntime-web/dist && mkdir needed && cp $(RUNTIME_FILES) needed
	rm -rf $@ && mv web/node_modules/onnxruntime-web/dist/needed $@
	rm -rf web/node_modules

$(SERVE): EXTRA := serve
$(STUDY): EXTRA := study
$(DEV): EXTRA := dev
$(SERVE) $(STUDY) $(DEV): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed, and none was found. On Debian or Ubuntu: sudo apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv. On Debian or Ubuntu: sudo apt-get install $$(basename $(PYTHON))-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# uv installs the same versions in a fraction of pip's time. pip takes over where uv cannot: it has another configuration.
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv 2>/dev/null || true
	@echo "Installing [$(EXTRA)] into .venv"; \
	install() { "$$@" --quiet --constraint requirements.lock setuptools && "$$@" --quiet --constraint requirements.lock --no-build-isolation --editable ".[$(EXTRA)]"; }; \
	if test -x $(BIN)/uv && install $(BIN)/uv pip install --python $(BIN)/python; then :; \
	else echo "uv did not install it. Installing with pip, which takes longer."; install $(BIN)/python -m pip install --disable-pip-version-check; fi
	@touch $@
