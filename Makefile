# Every target installs and builds what it needs; `make up` alone works on a fresh checkout with Node and npm.
# What stands behind ## is the line of `make help`.
SHELL := /bin/bash
BASE_PORT ?= 7401
NODE ?= node

.PHONY: help up demo test build install lint format unit oracle sim mutants chaos bench bench-failover bench-scale explore clean

.DEFAULT_GOAL := help

help: ## these lines
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do \
		printf '  make %-15s %s\n' "$$name" "$$text"; done

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

install: node_modules/.package-lock.json ## the packages of the lockfile

build: install ## generated code and JavaScript
	@npm run --silent build

up: build ## three nodes on loopback, until Ctrl-C; BASE_PORT=7401
	@$(NODE) bin/holdfast.js up --base-port $(BASE_PORT)

demo: build ## a failover story on real files, every claim checked
	@$(NODE) bin/holdfast.js demo

lint: build ## linter, formatter and house rules, without changing anything
	npm run --silent lint

format: install ## formats the sources
	npm run --silent format

unit: build ## the tests alone, without lint
	npx mocha

test: build lint ## everything that has to be green
	@$(NODE) scripts/test.mjs

oracle: build ## the consensus core against etcd's own test files; DIR=folder JSON=file
	@DIR="$(DIR)" JSON="$(JSON)" $(NODE) dist/test/oracle/main.js

explore: build ## small groups, exhaustively; JSON=file
	@JSON="$(JSON)" $(NODE) dist/test/explore/main.js

sim: build ## the whole cluster in virtual time; SEED=n, SEEDS=n or a-b, SECONDS=n JSON=file
	@SEED="$(SEED)" SEEDS="$(SEEDS)" SECONDS_MAX="$(SECONDS)" JSON="$(JSON)" $(NODE) dist/test/simulation/main.js

mutants: build ## planted bugs, each of which the simulator must find; MUTANT=name JSON=file
	@JSON="$(JSON)" MUTANT="$(MUTANT)" $(NODE) dist/test/simulation/mutants-main.js

chaos: build ## real processes, killed, stopped and cut off; SECONDS=n SEED=n FENCE=command|copies JSON=file
	@SECONDS_MAX="$(SECONDS)" SEED="$(SEED)" JSON="$(JSON)" FENCE="$(FENCE)" $(NODE) dist/test/chaos/main.js

bench: build ## durable operations a second, beside etcd where it is installed; JSON=file
	@JSON="$(JSON)" $(NODE) dist/bench/main.js

bench-failover: build ## how long clients wait; KILLS=n MOVES=n CALM=n ONLY=name JSON=file
	@JSON="$(JSON)" KILLS="$(KILLS)" MOVES="$(MOVES)" CALM="$(CALM)" ONLY="$(ONLY)" MARKDOWN="$(MARKDOWN)" \
		$(NODE) dist/bench/failover/main.js

bench-scale: build ## a million handles; ONLY=state|live|snapshot|restart JSON=file
	@JSON="$(JSON)" $(NODE) --expose-gc --max-old-space-size=8000 dist/bench/scale/main.js

clean: ## removes what was built and generated
	rm -rf dist src/gen
