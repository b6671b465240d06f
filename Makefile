# Two commands set up everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: demo test lint format docs bench clean

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP)  ## pretrain, fine-tune and test on the synthetic twin; ends with the metrics and the report's path
	$(RUN) -m astro_lightning experiment=plasticc_demo trainer=cpu

test: $(STAMP)  ## all tests, two at a time
	OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses 2 --durations 10 --junitxml outputs/tests.xml

lint: $(STAMP)  ## style, annotations, docstrings, types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

docs: $(STAMP)  ## the site into outputs/site, warnings as errors
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet
	@echo outputs/site/index.html

format: $(STAMP)  ## put the code into its form
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: $(STAMP)  ## how good and how fast; all of it takes hours: make bench WORDS=speed for minutes
	$(RUN) -m astro_lightning bench $(WORDS)

clean:  ## everything that make and runs made, except outputs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
