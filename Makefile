# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin

.PHONY: demo test lint bench clean

demo: $(VENV)/.ready
	$(RUN)/lineage demo -o demo
	@echo "Open demo/report.html in a browser; look at demo/overview.png; open demo/lineages.gexf in Gephi; demo/lineages.csv is a table, demo/ctc the masks."

test: $(VENV)/.ready-test
	$(RUN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.ready-test
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

bench: $(VENV)/.ready-test
	$(RUN)/python benchmarks/measuring.py
	$(RUN)/python benchmarks/programme.py
	$(RUN)/python benchmarks/solver.py --sizes 1e4 --solvers dual,dual0,highs,scipy,greedy
	$(RUN)/python benchmarks/linking.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cytolineage needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": call make PYTHON=python3.12, say")'
	$(PYTHON) -m venv $(VENV)

# torch comes first and by its exact version, so that the build for processors is taken where an index or a wheel offers it
$(VENV)/.ready: $(VENV)/bin/python pyproject.toml constraints.txt
	$(RUN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	$(RUN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(RUN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[test,lint]"
	@touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
