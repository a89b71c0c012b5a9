# make report:   environment, then everything from raw archives to results/stage4/report.html
# make test:     environment, then the tests of every part and one tiny run with all that reads it
# make campaign: what is long by nature: kills, full disks, Slurm, an empty environment, the benchmarks' scripts
# make soak:     the service under good, odd and hostile requests for an hour, or for SECONDS=60
# make gpu-check: this machine's GPU measured with the production models, in 8 minutes; CONFIG="FILE ..." overlays more
PYTHON ?= python3
STAGE ?= stage4
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv
# compiled modules are kept: without them each of a run's forty processes compiles torch and Snakemake again (seconds)
export PYTHONDONTWRITEBYTECODE :=

.PHONY: report test campaign soak gpu-check weights env pull rebuild-check docs lock

report: env
	@echo "Making results/$(STAGE)/report.html of what config.yaml names. The demo's stage4 has taken, from nothing:"
	@cat benchmarks/report_times.txt
	PYTHONPATH=plugins$${PYTHONPATH:+:$$PYTHONPATH} snakemake --logger brief --cores all -- results/$(STAGE)/report.html
	@echo "Open results/$(STAGE)/report.html"

# two processes share the cores; a module's tests stay in one, since they share what its fixtures make
PYTEST := pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test: env
	$(PYTEST) -m "not campaign"

# few and long: each is named when it begins and ends
campaign: env
	$(PYTEST) -v -m campaign

SECONDS ?= 3600
soak: env
	python benchmarks/soak.py --seconds $(SECONDS) --stage results/$(STAGE) --out soak

# writes gpu-check.json
gpu-check: env
	pillsnap doctor --deep --stage $(STAGE) \
		$(addprefix --config ,config.yaml profiles/production/pillsnap.yaml $(CONFIG))

env: .venv/installed

.venv/installed: requirements.lock pyproject.toml envs/install.py
	$(PYTHON) -m venv .venv
	python envs/install.py
	touch $@

# make weights/pill-detector.* and weights/pill-reader.* again, from drawn pills alone
weights: env
	PYTHONPATH=plugins$${PYTHONPATH:+:$$PYTHONPATH} snakemake --snakefile weights/Snakefile --logger brief --cores all
	cp results/weights/fifth/pill-detector.* results/weights/pill-reader.* weights/

# bring a stage from the DVC remote; Snakemake then knows that nothing is to be done
pull: env
	python -m pillsnap.reproduce.pull $(STAGE)

# make a stage of this commit again in a clean folder, and compare it with what DVC holds
rebuild-check: env
	pillsnap verify --stage $(STAGE)

# write docs/configuration.md and docs/config.schema.json again
docs: env
	python -m pillsnap.config.reference

# write requirements.lock again; versions that fit stay
lock: env
	uv pip compile pyproject.toml --extra pipeline --extra dev --extra cluster --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --output-file requirements.lock
