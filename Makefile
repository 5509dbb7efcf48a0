# Tools of the project come first on PATH, among them its own Node 24.
with_tools := PATH="$(CURDIR)/node_modules/.bin:$$PATH"
native := services/namespace/native

.PHONY: help setup demo test test-vm test-compose bench bench-quick chaos fuzz check up down deploy undeploy

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 14

setup: ## ready this machine: packages, NATS server, npm packages, the C program (root)
	@bash deploy/setup/setup.sh

demo: setup ## the whole lab in a stack of its own, made, shown and undone (root)
	@$(with_tools) node services/cli/demo/main.ts

test: setup ## every test that needs no virtual machine (root)
	@$(with_tools) node test/run.ts $(AVA_FLAGS)

test-vm: setup ## whole containers and LOSSES=1 of power on a cgroup v2 only Debian in qemu; SUITE=e2e runs a whole folder, FILES= other tests (root)
	@bash deploy/setup/packages.sh qemu-system-x86
	@$(with_tools) node test/vm/main.ts $(FILES)

test-compose: setup ## deploy by Compose to a Docker of its own, kill and renew each service, undeploy (root)
	@bash deploy/setup/packages.sh docker.io
	@bash deploy/setup/docker-plugins.sh
	@$(with_tools) unshare --mount --propagation private -- sh -c 'mount --make-rshared / && exec node test/compose/main.ts'

bench: setup ## Dolly beside Docker, Podman, crun and runc, written to test/bench/results (root)
	@$(with_tools) unshare --mount --propagation private node test/bench/main.ts

bench-quick: setup ## the same with fewer rounds, under a minute (root)
	@$(with_tools) unshare --mount --propagation private node test/bench/main.ts --quick

chaos: setup ## kill whatever there is at random for MINUTES=5, and count what is lost (root)
	@$(with_tools) node test/chaos/main.ts

fuzz: setup ## 200,000 hostile messages, then 100 million plans of the C program, or libFuzzer for 30 minutes (root)
	@$(with_tools) DOLLY_FUZZ_MESSAGES=200000 DOLLY_FUZZ_MINUTES=60 ava --timeout 70m test/bus/hostile-messages.test.ts
	@if command -v clang >/dev/null; then \
		$(MAKE) --silent -C $(native) dolly-init-libfuzzer && $(native)/dolly-init-libfuzzer -max_total_time=1800; \
	else \
		$(MAKE) --silent -C $(native) fuzz && $(native)/dolly-init-fuzz 100000000 "$$(date +%s)"; \
	fi

check: setup ## format, lint, types, compiler warnings
	@$(with_tools) oxfmt --check .
	@$(with_tools) oxlint --deny-warnings .
	@$(with_tools) tsc
	@$(MAKE) --silent -C $(native) analyze
	@$(MAKE) --silent -C services/storage/native analyze
	@$(MAKE) --silent -C services/network/native analyze
	@$(MAKE) --silent -C services/cgroup/native analyze

deploy: setup ## the stack of this host in Docker, by Compose: deploy/compose.yaml (root)
	@$(with_tools) node services/cli/deploy/main.ts up

undeploy: ## take it down; containers that run stay (root)
	@$(with_tools) node services/cli/deploy/main.ts down

up: setup ## start the stack of this host in the background (root)
	@services/cli/dolly up -d

down: ## stop it, and leave nothing when no container runs (root)
	@services/cli/dolly down
