# make help lists the targets.
PYTHON ?= python3
SOURCE ?=
DURATION ?= 20
# More arguments for pytest, as in: make test ARGS=test/geometry
ARGS ?=
# A process a core, up to four, and each file of tests in one of them; for one process: PARALLEL=
# One that crashes is not replaced: pytest-xdist 3.8 then waits for ever for tests it has had done.
PARALLEL ?= -n auto --maxprocesses 4 --max-worker-restart 0 --dist loadfile

# A sourced ROS installation would mix its packages with the ones in .venv.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
unexport LD_LIBRARY_PATH RMW_IMPLEMENTATION _ROS_WHEELS_BOOTSTRAP_COMPLETE

.DEFAULT_GOAL := help
.PHONY: help demo test lint clean distclean setup-demo setup-test

help:
	@echo 'make demo [DURATION=20] [SOURCE=<folder|video|bag|/dev/videoN>]'
	@echo '                camera to depth, mask and cloud on a ROS 2 graph; pictures in out/demo'
	@echo 'make test       the tests [ARGS=<pytest arguments>]'
	@echo 'make lint       ruff and mypy'
	@echo 'make clean      remove what builds and runs leave behind'
	@echo 'make distclean  the same, and .venv'
	@echo 'Each does its own set-up in .venv, with PYTHON=$(PYTHON).'

demo: setup-demo
	@.venv/bin/dense-perception demo --duration '$(DURATION)' $(if $(SOURCE),--source '$(SOURCE)')

test: setup-test
	@.venv/bin/python -m pytest $(PARALLEL) $(ARGS)

lint: setup-test
	.venv/bin/ruff check .
	.venv/bin/mypy

setup-demo setup-test: setup-%:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 10))' 2>/dev/null || { \
		echo 'error: "$(PYTHON)" is not a Python 3.10 or newer: install one, or name it as in "make $* PYTHON=python3.12".' >&2; exit 1; }
	@$(PYTHON) scripts/bootstrap.py $*

clean:
	rm -rf build install log out .mypy_cache .pytest_cache .ruff_cache *.egg-info training/*.egg-info
	find dense_perception test training -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv
