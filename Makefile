# What can be done here; `make` alone lists it. Everything runs from .venv, which is built from requirements.lock.

SUPPORTED = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The interpreter of a new .venv: the first of these that is supported, or make setup PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)

PY = .venv/bin/python
READY = .venv/.stamp

.PHONY: help setup demo test test-slow lint report report-quick bench tensorboard notebooks clean lock

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

setup: $(READY)  ## build .venv from requirements.lock; PYTHON=python3.12 chooses the interpreter
	@echo ".venv is ready: $$($(PY) --version). For another Python, delete .venv and run: make setup PYTHON=..."

# One thread a process: these networks are small, and where others compute too, spinning threads wait for each other.
demo test test-slow: export OMP_NUM_THREADS = 1

demo: $(READY)  ## train on handwritten digits, sweep pooling and softmax, write a page and print its path
	$(PY) train.py task=digits model=cnn_pool
	$(PY) train.py experiment=digits/softmax -m
	@$(PY) -m dlhw.report.page outputs/digits/softmax

test: $(READY)  ## run the tests but the slow ones
	$(PY) -m pytest -m "not slow" -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slow: $(READY)  ## run the slow tests only
	$(PY) -m pytest -m slow -q

lint: $(READY)  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy dlhw train.py predict.py

report: $(READY)  ## run what is missing and write the whole report; make report-bloodmnist (-rbp, -p2g, -ocr): one chapter
	$(PY) -m dlhw.report

report-quick: $(READY)  ## the same document from short runs
	$(PY) -m dlhw.report --quick

report-%: $(READY)
	$(PY) -m dlhw.report $*

bench: $(READY)  ## compare the speed with peers, side by side
	$(PY) -m benchmarks

tensorboard: $(READY)  ## show the runs below outputs/ in TensorBoard
	.venv/bin/tensorboard --logdir outputs

notebooks: $(READY)  ## open the notebooks in JupyterLab, which is installed first where it is missing
	@$(PY) -c 'import jupyterlab' 2>/dev/null \
	    || .venv/bin/uv pip install --python $(PY) -c requirements.lock --group notebooks || $(PY) -m pip install jupyterlab
	.venv/bin/jupyter lab --ServerApp.root_dir=. notebooks/start_here.ipynb

clean:  ## remove caches and build leftovers; .venv, outputs and data stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info
	find . \( -path ./.git -o -path ./.venv -o -path ./outputs -o -path ./data \) -prune -o -type d -name __pycache__ -exec rm -rf {} +

lock: $(READY)  ## pin again what pyproject.toml asks for; UPGRADE=1 takes the newest versions
	.venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --group dev \
	    --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements.lock

# pip brings in the uv of the lock, and uv the rest, many times faster. uv does not read pip's settings: where the package
# index is named only there, pip does it all. antlr4 comes as source: its build takes the setuptools of the lock too.
$(READY): requirements.lock
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then \
	    $(PYTHON) -c '$(SUPPORTED)' 2>/dev/null || { echo "error: $(if $(PYTHON),$(PYTHON) is not,there is no) Python 3.11 to 3.13:" \
	        "name one, as in make setup PYTHON=/path/to/python3.12" >&2; exit 1; }; \
	    echo "$(PYTHON) -m venv .venv"; $(PYTHON) -m venv --clear .venv; \
	fi
	@awk '/^uv==/ {on = 1} on {print} on && !/\\$$/ {exit}' requirements.lock > .venv/uv.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	.venv/bin/uv pip install --python $(PY) --require-hashes --build-constraints requirements.lock -r requirements.lock \
	    || $(PY) -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@
