# Everything is done by ./frt; these are its most used commands.
SCENARIO ?= scenarios/default.toml
ARGS ?=

.PHONY: help run test lint types

help:
	@echo "make run    the stress run of $(SCENARIO), with report (SCENARIO=... ARGS='--seed 7')"
	@echo "make test   the whole test suite (ARGS=tests/unit)"
	@echo "make lint   style and import rules"
	@echo "make types  the type checker"
	@echo "./frt --help lists everything else"

run:
	@./frt run $(SCENARIO) $(ARGS)

test:
	@./frt test $(ARGS)

lint:
	@./frt lint $(ARGS)

types:
	@./frt types $(ARGS)
