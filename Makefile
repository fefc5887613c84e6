# Every target installs and builds what it needs; `make up` alone works on a fresh checkout with Node and npm.
SHELL := /bin/bash
BASE_PORT ?= 7401
NODE ?= node

.PHONY: up demo test build install lint format unit oracle sim mutants chaos bench bench-failover bench-scale explore clean

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

install: node_modules/.package-lock.json

build: install
	@npm run --silent build

up: build
	@$(NODE) bin/holdfast.js up --base-port $(BASE_PORT)

demo: build
	@$(NODE) bin/holdfast.js demo

lint: build
	npm run --silent lint

format: install
	npm run --silent format

unit: build
	npx mocha

test: build lint
	@$(NODE) scripts/test.mjs

oracle: build
	@DIR="$(DIR)" JSON="$(JSON)" $(NODE) dist/test/oracle/main.js

explore: build
	@JSON="$(JSON)" $(NODE) dist/test/explore/main.js

sim: build
	@SEED="$(SEED)" SEEDS="$(SEEDS)" SECONDS_MAX="$(SECONDS)" JSON="$(JSON)" $(NODE) dist/test/simulation/main.js

mutants: build
	@JSON="$(JSON)" MUTANT="$(MUTANT)" $(NODE) dist/test/simulation/mutants-main.js

chaos: build
	@SECONDS_MAX="$(SECONDS)" SEED="$(SEED)" JSON="$(JSON)" FENCE="$(FENCE)" $(NODE) dist/test/chaos/main.js

bench: build
	@JSON="$(JSON)" $(NODE) dist/bench/main.js

bench-failover: build
	@JSON="$(JSON)" KILLS="$(KILLS)" MOVES="$(MOVES)" CALM="$(CALM)" ONLY="$(ONLY)" MARKDOWN="$(MARKDOWN)" \
		$(NODE) dist/bench/failover/main.js

bench-scale: build
	@JSON="$(JSON)" $(NODE) --expose-gc --max-old-space-size=8000 dist/bench/scale/main.js

clean:
	rm -rf dist src/gen
