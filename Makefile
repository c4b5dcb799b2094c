# make demo and make test need make, a C compiler, Python 3.10 or newer with its headers, and a package index.
# Everything they install goes into .venv, everything they make into build; make clean removes both.
#
#   make PYTHON=python3.12 test     another interpreter (make clean first if .venv exists)
#   make test ARGS="-k ip4 -x"      more arguments for pytest, the benchmarks or the fuzzers

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-spark test-wheel sanitize bench fuzz lint clean

# What a user's environment may hold and what would lead pip or Python out of .venv.
unexport PYTHONHOME PYTHONPATH PIP_PREFIX PIP_REQUIRE_VIRTUALENV PIP_ROOT PIP_TARGET PIP_USER

ARGS   ?=
BIN    := .venv/bin
RUN    := $(BIN)/python
PIP    := $(RUN) -m pip install --quiet --disable-pip-version-check
KERNELS := src/netfast/kernels
# What an installed extension is made of, and what else an installed package is.
NATIVE := setup.py pyproject.toml $(wildcard src/netfast/*.pyx src/netfast/*.pxd $(KERNELS)/*.[ch] src/netfast/registry/*.h)
PURE   := $(shell find src/netfast -name '*.py' -o -name '*.pyi')

## help: what can be made (this)
help:
	@sed -n 's/^## \([a-z-]*\): /make \1	/p' Makefile | expand -t 18

## demo: install netfast into .venv, write a log of about 100 MB and classify every address in it
# A developer's .venv has an editable install already, which serves as well.
demo: $(if $(wildcard .venv/.editable),.venv/.editable,.venv/.installed) build/sample.log
	$(BIN)/netfast classify build/sample.log

build/sample.log: | $(if $(wildcard .venv/.editable),.venv/.editable,.venv/.installed)
	@mkdir -p build
	$(BIN)/netfast sample > $@

## test: install netfast and what its tests need into .venv, and run them (ARGS: more for pytest)
test: .venv/.editable
	$(RUN) -m pytest $(ARGS)

## test-spark: the tests on Spark, Ray and Dask, and those on pandas with pandas 2, in .venv-spark; they want Java 17
test-spark: .venv/.editable .venv-spark/.made
	.venv-spark/bin/python -m pytest tests/spark tests/engines/test_pandas.py $(ARGS)

# The tests that another build may answer differently: test_c.py compiles the kernels itself.
QUICK := tests -m "not slow" --ignore tests/kernels/test_c.py

## test-wheel: build the sdist, the wheel from the sdist, and run the quick tests against that wheel
test-wheel: .venv/.editable
	rm -rf build/dist build/wheel
	@mkdir -p build
	$(RUN) -m build --outdir build/dist . > build/wheel.log 2>&1 || { tail -n 40 build/wheel.log; false; }
	$(PIP) --no-deps --target build/wheel build/dist/netfast-*.whl
	PYTHONPATH=$(CURDIR)/build/wheel $(RUN) -c 'import netfast as n; assert "build/wheel" in n.__file__, n.__file__'
	PYTHONPATH=$(CURDIR)/build/wheel $(RUN) -m pytest $(QUICK) $(ARGS)

## sanitize: the same tests on a build with the address and undefined-behaviour sanitizers
# The runtimes are loaded first: Python itself is built without them.  Python's own leaks are not ours to count.
# Reports go to a file, for pytest holds back what is written; one of an error fails the whole, whatever the tests say.
# Time means little here: every test that fails is tried again, and that of an import is left out.
SANITIZED := build/sanitize
sanitize: .venv/.editable
	rm -rf $(SANITIZED)
	NETFAST_SANITIZE=1 $(PIP) --no-deps --target $(SANITIZED)/site .
	env PYTHONPATH=$(CURDIR)/$(SANITIZED)/site PYTHONMALLOC=malloc \
	    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:log_path=$(CURDIR)/$(SANITIZED)/report \
	    UBSAN_OPTIONS=print_stacktrace=1:log_path=$(CURDIR)/$(SANITIZED)/report \
	    LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so.6)" \
	    $(RUN) -m pytest $(QUICK) --ignore tests/unit/test_import.py --reruns 2 $(ARGS) \
	    || { cat $(SANITIZED)/report.* 2>/dev/null; false; }
	! grep -s -e 'ERROR: AddressSanitizer' -e 'runtime error' $(SANITIZED)/report.*

## bench: every claim against its rivals, in one run (ARGS: which)
bench: .venv/.bench .venv/.editable
	$(RUN) benchmarks $(ARGS)

## fuzz: every libFuzzer target for SECONDS seconds each (60; ARGS: more for libFuzzer)
SECONDS ?= 60
FUZZERS := $(patsubst fuzz/%.c,build/fuzz/%,$(wildcard fuzz/*.c))
fuzz: $(FUZZERS)
	@set -e; for target in $(FUZZERS); do \
	    echo "== $$target, $(SECONDS) s"; mkdir -p $$target.corpus; \
	    $$target -max_total_time=$(SECONDS) -print_final_stats=1 -artifact_prefix=$$target- $(ARGS) $$target.corpus; done

build/fuzz/%: fuzz/%.c $(wildcard fuzz/*.h $(KERNELS)/*.[ch] src/netfast/registry/*.h)
	$(if $(shell command -v clang),,$(error the fuzzers need clang and its runtimes; \
	    Debian: apt-get install clang libclang-rt-14-dev, Fedora: dnf install clang compiler-rt))
	@mkdir -p $(@D)
	clang -std=c11 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	    -I$(KERNELS) -Isrc/netfast/registry $< $(sort $(wildcard $(KERNELS)/nf_*.c)) -lm -o $@

## lint: ruff, mypy and cython-lint
lint: .venv/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src/netfast

## clean: remove everything that was made, .venv too
clean:
	rm -rf .venv .venv-spark build dist .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache src/netfast.egg-info
	rm -f src/netfast/*.so src/netfast/_*.c
	find . -name __pycache__ -prune -exec rm -rf {} +

# --- .venv, step by step: each stamp file says that a step is done ---------------------------------------------------

# The first of these that is Python 3.10 or newer.
find-python = $(shell for p in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python3.10); do \
    "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$p" && break; done)

# What the system lacks, in one line; nothing if it has everything.  $(1): the interpreter.
missing = $(shell \
    ask() { $(1) -c "import sys, sysconfig; print($$1)"; }; \
    version=$$(ask "'%d.%d' % sys.version_info[:2]"); \
    set -- $(if $(filter default undefined,$(origin CC)),$$(ask "sysconfig.get_config_var('CC')"),$(CC)); \
    if ! $$1 -x c -include stdio.h -fsyntax-only /dev/null 2>/dev/null; then \
        echo "a C compiler (tried $$1); Debian: apt-get install gcc libc6-dev, Fedora: dnf install gcc"; \
    elif ! $$1 -x c -include Python.h -I "$$(ask "sysconfig.get_path('include')")" \
            -I "$$(ask "sysconfig.get_path('platinclude')")" -fsyntax-only /dev/null 2>/dev/null; then \
        echo "the headers of Python $$version; Debian: apt-get install python$$version-dev, Fedora: dnf install python3-devel"; \
    elif ! $(1) -c 'import ensurepip, venv' 2>/dev/null; then \
        echo "the venv module of Python $$version; Debian: apt-get install python$$version-venv, Fedora: dnf install python3"; \
    fi)

.venv/.made:
	$(eval PY := $(find-python))
	$(if $(PY),,$(error netfast needs Python 3.10 or newer (tried $(or $(PYTHON),python3 and python3.10 to python3.14)); \
	    Debian: apt-get install python3-dev python3-venv, Fedora: dnf install python3-devel))
	$(eval LACK := $(call missing,$(PY)))
	$(if $(LACK),$(error netfast needs $(LACK)))
	@echo "making .venv with $$($(PY) -V)"
	@$(PY) -m venv --clear .venv
	@$(PIP) --upgrade 'pip>=25.1'
	@touch $@

# As a user installs it.
.venv/.installed: .venv/.made $(NATIVE) $(PURE)
	@echo "building and installing netfast"
	@rm -rf build/release/lib*
	@$(PIP) .
	@touch $@

# As a developer does: Python files are used in place, and a change to the rest rebuilds the extension.
.venv/.editable: .venv/.test $(NATIVE)
	@echo "building netfast in place"
	@$(PIP) --no-build-isolation --editable .
	@rm -f .venv/.installed
	@touch $@

.venv/.test: .venv/.made pyproject.toml
	@echo "installing what the tests need"
	@$(PIP) --group build --group test
	@touch $@

.venv/.lint: .venv/.test
	@$(PIP) --group lint
	@touch $@

.venv/.bench: .venv/.test
	@$(PIP) --group bench
	@touch $@

# Beside .venv, for PySpark wants an older pandas; the extension that was built in place serves both.
.venv-spark/.made: pyproject.toml | .venv/.editable
	@echo "installing what the tests on Spark need"
	@$(RUN) -m venv --clear .venv-spark
	@$(subst $(RUN),.venv-spark/bin/python,$(PIP)) --upgrade 'pip>=25.1'
	@$(subst $(RUN),.venv-spark/bin/python,$(PIP)) --group build --group spark
	@$(subst $(RUN),.venv-spark/bin/python,$(PIP)) --no-build-isolation --editable .
	@touch $@
