.PHONY: test check

test: ## install what is missing, then every test under the race detector
	.ci/setup
	go test -race -timeout 20m ./...

check: ## what CI runs
	.ci/run
