.PHONY: try build test test-commands test-kills test-races test-real-parts build-race lint check env release-check bench bench-deploy bench-speed bench-growth bench-start conformance conformance-aws

# How everything is compiled, so that one compilation serves programs, tests and linters. Most of the compiler's time goes
# into the AWS SDK, and into the package that calls it: half of it without inlining, and without what a debugger reads.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath '-gcflags=github.com/aws/...=-l -dwarf=false' -gcflags=github.com/bookctl/bookctl/internal/provision=-l

try: build ## deploy the books API on this machine, and use it
	.ci/setup run
	@set -e; url=$$(bin/bookctl up --local); \
	set -x; curl -fsS -H 'Content-Type: application/json' -d '{"name":"Dune","author":"Frank Herbert"}' $$url/books; \
	curl -fsS $$url/books/Dune; \
	{ set +x; } 2>/dev/null; echo; echo "Open $$url in a browser. Its status: bin/bookctl status --local"; \
	echo "To delete it: bin/bookctl destroy --local; to stop the local cloud: bin/bookctl local stop"

build: ## bin/bookctl, and bin/bookapi, which 'bookctl up' then need only link
	GOGC=200 go build -o bin/ ./cmd/bookctl ./cmd/bookapi

# The tests of the command line run the program: a race in it shows in those of the packages that it is made of, and
# in its main job, for which it is built with the detector. Runs are killed at all of their writes on simulated clocks;
# under the detector, at some of them, and at a few on the real parts, which mostly waits. The other tests of that package
# are about what AWS answers; their goroutines are the same. go vet, which would look at all of the SDK twice, is among
# the linters of 'make check'. The tests of the command line wait for most of their time, and the kills, which a busy machine changes
# nothing of, use the processor meanwhile. The other tests under the detector come after them, because some watch states
# that a busy machine passes over. What several of them compile is compiled before, once. A test that takes the policy of
# a thousand stacks to pieces, one after another, takes nine times as long under the detector, which has nothing to see
# there.
ALONE := ^TestThePolicyFitsEverywhere$$
test: ## install what is missing, then every test, under the race detector where that sees what runs
	.ci/setup
	$(MAKE) --jobs 2 test-commands test-kills
	$(MAKE) --jobs 2 test-races test-real-parts

test-commands: build-race
	go test -vet=off -parallel 6 -timeout 40m ./internal/cli

test-kills: build-race
	go test -vet=off -skip WithRealParts -timeout 40m ./internal/cli/internal/kill
	go test -vet=off -run '$(ALONE)' ./internal/iampolicy
	CGO_ENABLED=1 go test -vet=off -race -run '^TestKilled|Lock' -skip WithRealParts -timeout 40m ./internal/cli/internal/kill

test-races: build-race
	CGO_ENABLED=1 go test -vet=off -race -p 2 -parallel 2 -skip '$(ALONE)' -timeout 40m $$(go list ./... | grep -v '/internal/cli\($$\|/internal/kill\)')

test-real-parts: build-race
	CGO_ENABLED=1 go test -vet=off -race -run WithRealParts -timeout 40m ./internal/cli/internal/kill

build-race: build
	CGO_ENABLED=1 GOGC=200 go build -race ./...

lint: ## the linters, go vet among them, and the known vulnerabilities
	.ci/setup check
	.tools/golangci-lint run ./...
	.ci/vulncheck

check: ## what CI runs
	.ci/run

env: ## the flags of all this for your shell: eval "$$(make env)"
	@echo "export CGO_ENABLED=$(CGO_ENABLED) GOFLAGS=\"$(GOFLAGS)\""

release-check: ## the configuration of a release, and the example workflow of users
	.ci/setup release
	.tools/goreleaser check
	.tools/actionlint docs/examples/deploy.yml

bench: ## bookapi beside pgbench and FastAPI, in one run, with the ratios; BASELINE=PATH adds another build of bookapi
	go test ./internal/api -run '^$$' -bench AgainstPgbench -benchtime 1x -timeout 15m

bench-deploy: export TF_PEER := $(abspath $(TF_PEER))
bench-deploy: ## bookctl beside Terraform, against one emulator and the local cloud without and with AWS's limits (TF_PEER and TF_PLUGIN_DIR name Terraform's part)
	go test ./internal/cli -run '^$$' -bench Deploy -benchtime 1x -timeout 60m

bench-speed: ## up and destroy by the longest chain of AWS's own waits, on a local cloud as slow as AWS
	go test ./internal/cli -run '^$$' -bench Speed -benchtime 1x -timeout 20m

bench-growth: ## 50 stacks in one account: the calls and the time of one of them, alone and among the others
	go test ./internal/cli -run '^$$' -bench Growth -benchtime 1x -timeout 30m

bench-start: ## the start of a command, and what an up and an idle local cloud take; BASELINE=PATH adds another build of bookctl
	go test ./internal/cli -run '^$$' -bench Start -benchtime 1x -timeout 20m

conformance: ## take a stack through its life on ENDPOINT (a URL, or local) and report what that answers
	@test -n "$(ENDPOINT)" || { echo "say ENDPOINT=http://127.0.0.1:5000, or ENDPOINT=local" >&2; exit 64; }
	go run ./cmd/conformance -endpoint "$(ENDPOINT)" $(FLAGS)

conformance-aws: ## the same in the AWS account of your credentials: it costs money, and asks before
	go run ./cmd/conformance -endpoint aws -report conformance-aws.md $(FLAGS)
