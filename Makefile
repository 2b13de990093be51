# make bench takes data by OMNIGLOT=omniglot28.npz, TEXTS=FOLDER and WIKIPEDIA=text.gz.
# make demo: the main job. make test: the tests; make test-all: also the long ones.
# All set up what they need in .venv.
PYTHON ?= python3
BIN := .venv/bin

demo: .venv/core
	$(BIN)/widthwise demo

# A worker takes a half of the tests, and then of what the other has left: files stay together.
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

test: .venv/dev
	$(TESTS) -m "not long"

test-all: .venv/dev
	$(TESTS)

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/dev
	$(BIN)/python benchmarks/prune.py
	$(BIN)/python benchmarks/evaluate.py
	$(BIN)/python benchmarks/alignment.py
	$(BIN)/python benchmarks/words.py
	test -z "$(OMNIGLOT)" || $(BIN)/python benchmarks/maml.py --data $(OMNIGLOT)
	test -z "$(TEXTS)" || $(BIN)/python benchmarks/refit_targets.py --data $(TEXTS) -o refit-targets
	test -z "$(WIKIPEDIA)" || $(BIN)/python benchmarks/transfer.py $(WIKIPEDIA)
	test -z "$(WIKIPEDIA)" || $(BIN)/python benchmarks/word2vec.py speed $(WIKIPEDIA)

docs: figures
	$(BIN)/python tools/cli_reference.py
	$(BIN)/python tools/results_readme.py

figures: .venv/dev
	$(BIN)/python tools/figures.py

.venv/pip:
	$(PYTHON) -m venv .venv
	touch $@

.venv/core: .venv/pip pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[eval]'
	touch $@

.venv/dev: .venv/core
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.PHONY: demo test test-all check bench docs figures
