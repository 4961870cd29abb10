# Everything runs in a local virtual environment that the first target makes.
#   make demo    fabricated recordings to a distilled student, with a summary
#   make test    the tests
#   make check   lint, types, import contracts, shipped data
# Others: attack (ten minutes of attacks), slow (the long tests), bench (the benchmarks), gpu (what only
# a GPU shows, into docs/explanation/gpu.md), docs (the site, into site/), clean.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
JOBS ?= 2
DEMO ?= demo
INSTALL ?=
# Every fourth frame, small, through a small network: nearly all of the demo's work was films.
SMALL_FILMS := $(foreach m,rgb depth,--set $m.network=resnet18 --set $m.image_size=112 --set $m.every=4)

.PHONY: demo test check attack slow bench gpu docs clean

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 found: install one, or make PYTHON=/path/to/python3.11" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(INSTALL) --editable '.[dev]'
	touch $@

demo: $(READY)
	rm -rf $(DEMO)
	mkdir -p $(DEMO)
	$(BIN)/dmft synth utd-mhad $(DEMO)/raw --subjects 4 --actions 6 --trials 3 --seed 0
	$(BIN)/dmft manifest build utd-mhad $(DEMO)/raw -o $(DEMO)/demo.jsonl
	$(BIN)/dmft encode $(DEMO)/demo.jsonl --raw $(DEMO)/raw --out $(DEMO)/demo.zarr --weights random:0 $(SMALL_FILMS)
	$(BIN)/dmft train $(DEMO)/demo.zarr --protocol utd-loso --model teacher --epochs 24 --set training.batch_size=8 --set augment.mixup=0 --threads 1 --out $(DEMO)/teacher
	$(BIN)/dmft distill $(DEMO)/demo.zarr --teacher $(DEMO)/teacher --threads 1 --out $(DEMO)/student
	$(BIN)/dmft runs $(DEMO)

# One thread of PyTorch a process: with more, processes on the same cores wait for each other.
# Python keeps what it compiles, whatever the machine says: a test of a command starts it anew.
test: $(READY)
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dmft manifest check

attack: $(READY)
	$(BIN)/python -m tests.attack

slow: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[dev,mlflow,trackio,wandb]' 'datasets>=4'
	$(BIN)/python -m pytest -m slow -s

bench: $(READY)
	for b in tests/benchmarks/bench_*.py; do echo "== $$b"; $(BIN)/python -m tests.benchmarks.$$(basename $$b .py) || exit 1; done

gpu: $(READY)
	$(BIN)/python -m tests.gpu

docs: $(READY)
	$(BIN)/python docs/generate.py
	$(BIN)/zensical build --clean --strict

clean:
	rm -rf $(DEMO) site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
