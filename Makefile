# make run    set up, execute the notebook; leaves results/babyai.ipynb and the run in results/first/
# make doctor what is configured, reachable and missing; sets up the environment first
# make test   lint, types, all tests
# make learn  a small pretrained language model learns from its own episodes (learning.ipynb)
# make figures RUN=first  the figures of README and docs/, img/*.png, from that run; nothing else changes them
# make bench  timings, as tables and JSON under results/bench/
# make bench-llm  what that model learns, by task, prompt and CPU minutes; takes hours and can be stopped
# make soak   faults by the hundred (about half an hour): a table, and JSON in results/soak.json
# make up     with Docker: ClickHouse, gateway and UI, waits until they are healthy; make down stops them
# make test-long  the longest tests, and README followed word by word in a fresh clone (some minutes)
# make picture  the picture of the game in README; make learning-figure  that of make learn
# make clean  remove environments and caches; runs and data stay
# Another interpreter: make PYTHON=python3.12 run

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venv/$(VERSION)
BIN := $(VENV)/bin
# More than cores: end-to-end tests wait as much as they work. Files in their order mix both kinds.
WORKERS ?= 4
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# Tests start the kit in hundreds of processes, each of which would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: doctor run test test-long lint unit e2e bench bench-llm learn figures learning-figure picture soak up down clean

run: $(VENV)/.run
	mkdir -p results
	$(BIN)/python -m papermill babyai.ipynb results/babyai.ipynb --kernel python3 --log-output --no-progress-bar
	$(BIN)/python -m jupyter trust results/babyai.ipynb  # else Jupyter hides its replays

doctor: $(VENV)/.run
	@$(BIN)/python -m babyai_kit doctor

test: lint $(VENV)/.llm
	$(PYTEST) -m "not long"

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.llm
	$(PYTEST) -m "not e2e and not long"

e2e: $(VENV)/.llm
	$(PYTEST) -m "e2e and not long"

bench: $(VENV)/.test
	mkdir -p results/bench
	for file in benchmarks/bench_*.py; do \
		$(BIN)/python $$file --json results/bench/$$(basename $$file .py).json || exit 1; done

soak: $(VENV)/.test
	mkdir -p results
	nice $(BIN)/python -m tests.faults.soak --json results/soak.json

test-long: $(VENV)/.llm
	$(PYTEST) -m long
	$(BIN)/python -m tests.project.first_hour

picture: $(VENV)/.run
	$(BIN)/python -c 'from babyai_kit import figures, make_env; env = make_env("open"); env.reset(seed=206); \
		open("img/game.png", "wb").write(figures.game(env).png())'

up down: $(VENV)/.run
	@$(BIN)/python -m babyai_kit.cli.compose $@

# Takes hours, and goes on where it was stopped.
bench-llm: $(VENV)/.llm
	mkdir -p results/bench
	$(BIN)/python benchmarks/llm/throughput.py --json results/bench/llm_throughput.json
	$(BIN)/python benchmarks/llm/rounds.py --json results/bench/llm.json

learn: $(VENV)/.llm
	mkdir -p results
	$(BIN)/python -m papermill learning.ipynb results/learning.ipynb --kernel python3 --log-output --no-progress-bar
	$(BIN)/python -m jupyter trust results/learning.ipynb  # else Jupyter hides its replays

figures: $(VENV)/.run
	@test -n "$(RUN)" || { echo "Name the run whose figures they shall be: make figures RUN=first"; exit 2; }
	$(BIN)/python -m babyai_kit report $(RUN) --figures img

# After make learn.
learning-figure:
	cp results/learning-test-at-0.7/img/before_and_after.png img/learning.png

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.run: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Python 3.10 to 3.13 is needed, this is $(VERSION); try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

# The language model, where PyTorch without CUDA is to be had; otherwise says why not, and its tests skip.
$(VENV)/.llm: $(VENV)/.test
	@$(BIN)/python -m babyai_kit.local.install llm \
		&& $(BIN)/python -m pip install --quiet --editable '.[test-llm]' && touch $@ || true
