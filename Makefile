# Two commands: `make demo` and `make test`. Both set up .venv first; the second call reuses it.

EXTRAS ?= core
# The demo's detector: empty takes weights found in PC_MODELS_DIR, else HOG; yolo11n is fetched and needs ultralytics.
DETECTOR ?=
UPGRADE ?=
# The areas of the benchmark or of the faults to run, with commas between; empty runs all.
ONLY ?=
# Of the random choices of the faults, and how often each kind of process is killed.
SEED ?= 0
TIMES ?= 10

.PHONY: help setup up down demo test bench faults lint lock clean

help:
	@echo "make demo     render a video, count the people in it through Dagster, compare with the truth"
	@echo "make test     linters, types and tests"
	@echo "make bench    every benchmark, beside its peer or limit (15 minutes; ONLY=load: one area)"
	@echo "make faults   kill, fill, damage and confuse a whole site; are all rows still right? (half an hour; ONLY=disk: one area)"
	@echo "make up       start Postgres, Redis and the Dagster UI; make down stops them"
	@echo "make setup    .venv with pc in it (EXTRAS=dev: tools of developers, EXTRAS=all: ultralytics and torch too)"
	@echo "make lint     linters and types alone"
	@echo "make lock     write requirements/*.txt anew from pyproject.toml (UPGRADE=--upgrade: the newest versions)"
	@echo "make clean    remove .venv and caches; PC_HOME stays"

setup:
	@sh scripts/setup.sh $(EXTRAS)

up: setup
	@.venv/bin/pc up

down:
	@.venv/bin/pc down

demo:
	@sh scripts/setup.sh $(if $(DETECTOR),all,photos)
	@.venv/bin/pc demo $(if $(DETECTOR),--detector $(DETECTOR))

# One worker more than cores, since many tests wait for servers; in the order of folders, since the longest come first.
# Bytecode is kept, whatever the shell says: each of a hundred interpreters would compile the tree anew.
test:
	@sh scripts/setup.sh all
	@$(MAKE) --no-print-directory check
	@PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest -n $$(($$(nproc) + 1)) --dist loadfile --no-loadscope-reorder

bench:
	@sh scripts/setup.sh all
	@.venv/bin/python -m bench --only "$(ONLY)"

faults:
	@sh scripts/setup.sh all
	@.venv/bin/python -m faults --only "$(ONLY)" --seed $(SEED) --times $(TIMES)

lint:
	@sh scripts/setup.sh dev
	@$(MAKE) --no-print-directory check

.PHONY: check
check:
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

lock:
	@sh scripts/lock.sh $(UPGRADE)

clean:
	@[ ! -x .venv/bin/pc ] || .venv/bin/pc down
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
