# Two commands: `make run` starts a gateway in this terminal, `make test` runs everything there is to check.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUBS := .stubs
# Foreign programs that judge ours. Where they cannot be installed, their tests are skipped with the reason.
PROGRAMS := openssl mtools dosfstools curl picocom
# Large, so apart: timelines and reports are looked at in a real browser.
BROWSER := chromium
ARGS ?=

.PHONY: run test lint types check bench vm programs clean

run: $(VENV)/.installed
	@$(BIN)/gatebench run $(ARGS)

test: $(VENV)/.installed-test $(STUBS)/.installed programs
	-@[ -e $(VENV)/.installed-peers ] || $(MAKE) --silent $(VENV)/.installed-peers  # foreign readers; without, skipped
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

check: lint types test

bench: $(VENV)/.installed-bench
	@missed=0; for file in tests/bench/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || missed=1; done; exit $$missed

# The card reader on a real USB stack, in a guest of its own; not part of the suite.
vm: $(VENV)/.installed-test
	@command -v qemu-system-x86_64 >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
	  || { echo "installing qemu-system-x86"; apt-get -qq update && apt-get -qq install -y --no-install-recommends qemu-system-x86 >/dev/null; }
	$(BIN)/python -m pytest -m vm tests/vm $(ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "gatebench needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1); try make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null \
	  || { rm -rf $(VENV); [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install -y python3-venv >/dev/null && $(PYTHON) -m venv $(VENV); } \
	  || { rm -rf $(VENV); echo "cannot make a virtual environment: install python3-venv"; exit 1; }

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "installing gatebench into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-%: pyproject.toml | $(VENV)/bin/python
	@echo "installing gatebench with its $* extra into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@ $(VENV)/.installed

# Type stubs of MicroPython, in a folder of their own: at the top of site-packages they would shadow `time` and others.
$(STUBS)/.installed: | $(VENV)/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check --target $(STUBS) micropython-stm32-stubs
	@touch $@

programs:
	@missing=; for program in openssl mdir fsck.fat curl picocom; do \
	  PATH="$$PATH:/usr/sbin:/sbin" command -v $$program >/dev/null || missing=1; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $(PROGRAMS)"; \
	    apt-get -qq update && apt-get -qq install -y --no-install-recommends $(PROGRAMS) >/dev/null; \
	  else echo "some of $(PROGRAMS) are missing: their tests will be skipped"; fi; fi
	@command -v $(BROWSER) >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing $(BROWSER)" \
	       && apt-get -qq update && apt-get -qq install -y --no-install-recommends $(BROWSER) >/dev/null; } \
	  || echo "$(BROWSER) is missing: its tests will be skipped"

clean:
	rm -rf $(VENV) $(STUBS) .pytest_cache .mypy_cache .ruff_cache .hypothesis .gatebench
