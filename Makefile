# Two commands do everything, installation included: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH := .venv-bench
FLOORS := .venv-floors

.PHONY: demo example-report model test check floors format docs bench clean

demo: $(INSTALLED)
	$(BIN)/cordlesion demo -o demo

# SCT_NETWORK is SCT's file t2_ax_lesion.h5 (github.com/spinalcordtoolbox/deepseg_lesion_models), which is not part of the project.
SCT_NETWORK ?= ../shared/data/sct/t2_ax_lesion.h5
example-report: demo
	$(BIN)/python docs/example_report/make_comparators.py demo/study demo/comparators $(SCT_NETWORK)
	$(BIN)/cordlesion study run studies/seven_losses.yaml
	$(BIN)/python docs/example_report/make_example.py demo/seven_losses demo/study

# The model in the package, from simulated scans to its card; some hours on two cores. Stopped, it continues.
model: $(INSTALLED)
	$(BIN)/cordlesion simulate packaged/cohort --scans 440 --seed 2026 --domain varied
	$(BIN)/cordlesion study run studies/packaged_model_start.yaml --until train
	$(BIN)/cordlesion simulate packaged/cohort_2 --scans 600 --seed 2027 --domain varied
	$(BIN)/cordlesion study run studies/packaged_model.yaml
	mkdir -p src/cordlesion/model/packaged
	cp packaged/study_2/runs/dice_bce_seed-0/bundle/* src/cordlesion/model/packaged/

test: check
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

check: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The lowest versions that pyproject.toml declares, in an environment of its own: import, command line, sweep, losses.
FLOOR_TESTS := tests/metrics tests/threshold tests/losses tests/cli/test_cli.py tests/test_public_api.py tests/test_evaluation.py

floors: $(FLOORS)/.installed
	$(FLOORS)/bin/cordlesion --help > /dev/null
	$(FLOORS)/bin/pytest -m "not slow" $(FLOOR_TESTS)

$(FLOORS)/.installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(FLOORS)
	$(FLOORS)/bin/pip install --quiet --upgrade pip
	$(FLOORS)/bin/pip install --quiet -c constraints-lowest.txt -e '.[sct,slurm]' pytest pytest-xdist hypothesis
	touch $@

format: $(INSTALLED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Into site/; open site/index.html. MkDocs warns about its own next version, which is not used here.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Writes docs/benchmarks.md. In an environment of its own: the peers ask for older versions of libraries we use.
# What measures no speed is run by itself: bench_brain_lesions.py, bench_centerline.py, bench_memory.py, bench_precision.py.
bench: $(BENCH)/.installed
	$(BENCH)/bin/python benchmarks/run.py

$(BENCH)/.installed: pyproject.toml constraints-cpu.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --upgrade pip
	$(BENCH)/bin/pip install --quiet -c constraints-cpu.txt -e '.[bench]'
	touch $@

$(INSTALLED): pyproject.toml constraints-cpu.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -c constraints-cpu.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(BENCH) $(FLOORS) demo site
