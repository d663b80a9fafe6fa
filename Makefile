.PHONY: test check bench

test: ## install what is missing, then every test under the race detector
	.ci/setup
	go test -race -timeout 20m ./...

check: ## what CI runs
	.ci/run

bench: ## bookapi beside pgbench, in one run, with the ratios
	go test ./internal/api -run '^$$' -bench BesidePgbench -benchtime 1x -timeout 15m
