# Two commands do everything: make quickstart, make test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
PEERS ?= .venv-peers
INSTALLED_PEERS := $(PEERS)/.installed
LOWEST ?= .venv-lowest
INSTALLED_LOWEST := $(LOWEST)/.installed
TRITON_TESTS := -m "slow and not gpu" tests/fastspiking/test_triton.py
# Their pages in docs/ are what their stores give; make docs looks.
STUDIES := surrogates passing_steps attached_reset advice_check chip recipes

# Where it is set, every process of the tests compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup quickstart test test-slow test-peers test-triton test-site test-cluster test-lowest search-engines check entry presets golden catalogue board site docs clean

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(INSTALLED) ## make .venv and install sgbench into it

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" || \
	  { echo "sgbench needs Python 3.11, 3.12 or 3.13; name one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	@echo "installing sgbench and torch into $(VENV): about a minute, longer on a slow line"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

quickstart: setup ## compare seven surrogates on real digits (about two minutes)
	$(BIN)/sgbench run sweep=quickstart
	$(BIN)/sgbench board build --from runs --protocol digits_v1
	$(BIN)/sgbench board show --from runs --protocol digits_v1

test: check ## lint, floors, types, tests
	$(BIN)/python -m pytest

test-slow: $(INSTALLED_DEV) ## whole cross-products, kills, wheels and pixels
	$(BIN)/python -m pytest -m "slow and not cluster"
	@seed=$$(date +%s); echo "random examples of --hypothesis-seed=$$seed"; \
	  $(BIN)/python -m pytest -m hypothesis --hypothesis-profile=search --hypothesis-seed=$$seed

search-engines: $(INSTALLED_DEV) ## small random runs on every engine and as replicas, compared batch by batch (MINUTES=10)
	@seed=$$(date +%s); echo "cases of --seed $$seed"; \
	  $(BIN)/python -m tests.search_engines --minutes $(or $(MINUTES),10) --seed $$seed

test-site: $(INSTALLED_DEV) ## the site in a headless Chromium, which has to be installed (Debian: chromium)
	$(BIN)/python -m pip install --quiet --editable '.[browser]'
	$(BIN)/python -m pytest -n 0 -m site tests/site

test-cluster: $(if $(WITH),,$(INSTALLED_DEV)) ## sweeps on a real SLURM of one node (Debian: slurm-wlm munge, as root) and on Ray
	$(if $(WITH),,$(BIN)/python -m pip install --quiet --editable '.[slurm,ray]')
	$(or $(WITH),$(BIN)/python) -m pytest -n 0 -m cluster tests/cluster

test-triton: $(INSTALLED_DEV) ## the engine triton by Triton's interpreter and compiler, without a card (Linux)
	$(BIN)/python -m pip install --quiet --editable '.[triton]'
	TRITON_INTERPRET=1 $(BIN)/python -m pytest $(TRITON_TESTS)
	$(BIN)/python -m pytest $(TRITON_TESTS)

# Old versions warn of what they do themselves; what a run loads is a matter of speed, held with the newest.
test-lowest: $(INSTALLED_LOWEST) ## the tests with the lowest version of every dependency (a torch of 2.5 GB)
	$(LOWEST)/bin/python -m pytest -W default --deselect tests/run/test_loaded.py::test_a_run_loads_nothing_that_it_does_not_use
	TRITON_INTERPRET=1 $(LOWEST)/bin/python -m pytest -W default $(TRITON_TESTS)
	$(LOWEST)/bin/python -m pytest -W default $(TRITON_TESTS)

$(INSTALLED_LOWEST): pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --editable '.[dev,triton]'
	@touch $@

test-peers: $(INSTALLED_PEERS) ## presets and statistics against the libraries that have them, in an environment of its own
	$(PEERS)/bin/python -m pytest tests/peers -m "peers or not slow"

# sinabs asks for more than its surrogates need, so its few imports are named here.
$(INSTALLED_PEERS): pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --editable '.[dev]' spikingjelly==2.0.0 norse==1.1.0 spyx==1.0.0 \
	  scikit-posthocs==0.17.1 statsmodels==0.15.0 opda==0.8.0 rliable==1.2.0 'pandas<3'
	$(PEERS)/bin/python -m pip install --quiet --no-deps sinabs==3.1.3 nir nirtorch pbr dcls==0.1.1 neurobench==2.3.0
	@touch $@

check: $(INSTALLED_DEV) ## lint, floors, types, the map and the shape of the code, committed boards
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 0 -m lint tests/lint
	$(BIN)/basedpyright --level error --pythonpath $(BIN)/python
	$(BIN)/sgbench board check

# WITH names an interpreter that has everything; without it, .venv is made. So for test-cluster.
entry: $(if $(WITH),,$(INSTALLED_DEV)) ## do all that follows from a new entry: golden ids, words to complete
	$(or $(WITH),$(BIN)/python) -m tests.golden.write --new
	$(or $(WITH),$(BIN)/python) -m tools.known_names

presets: setup ## rewrite conf/surrogate/<library>/ from its table
	$(BIN)/python -m tools.presets

golden: $(INSTALLED_DEV) ## rewrite the golden files; review the difference
	$(BIN)/python -m tests.golden.write

catalogue: setup ## pages and pictures of surrogates and neurons, into docs/catalogue
	$(BIN)/python -m tools.catalogue_pages.pages

board: setup ## rebuild all committed boards from their records
	$(BIN)/sgbench board build --from leaderboards

site: catalogue ## build the web site of all boards into site/
	$(BIN)/python -m registry site

docs: $(INSTALLED_DEV) catalogue ## the documentation and the boards as one site in public/, notebooks executed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(foreach study,$(STUDIES),$(BIN)/python -m study report $(study) --check &&) true
	rm -rf public build/doctrees
	$(BIN)/python -m registry site --docs --to public
	$(BIN)/python -m registry site --check --to public
	$(BIN)/python -m sphinx -W --keep-going -b html -d build/doctrees docs public/docs
	rm -rf public/docs/.buildinfo public/docs/_sources
	$(BIN)/python -m tools.documentation.links public

clean: ## remove .venv and caches, never runs
	rm -rf $(VENV) $(PEERS) $(LOWEST) .pytest_cache .ruff_cache .import_linter_cache dist build site public \
	  docs/api docs/catalogue docs/checkout
