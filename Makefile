# What must be there first: go, make, git, gcc, and Node 20 or newer with npm; on Linux also strace, mkfs.ext4, rsyslogd and syslog-ng.
# integration/need.sh checks it.
.PHONY: build demo test race soak ship load lint golangci fuzz integration delivery syslog peers bench docs check dist

VERSION ?= $(shell git describe --tags --always 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.release=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 20s
ROUNDS ?= 1000

build: ## bin/vmcp-audit
	@sh integration/need.sh go
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/vmcp-audit ./cmd/vmcp-audit

demo: build ## an audited conversation; ARGS=--once ends after it
	@bin/vmcp-audit serve --demo $(ARGS)

test: peers ## every test, integration included
	go test -race -timeout 30m ./...
	cd integration && go test -race -timeout 30m ./...

race: ## the tests that need no peers, several times over
	go test -race -count=3 ./...

soak: ## a process that writes to a spool is killed, ROUNDS times
	SPOOL_CRASH_ROUNDS=$(ROUNDS) go test -count=1 -v -timeout 2h -run '^TestKill$$' ./emitter/spool

ship: build ## ship follows 500,000 lines of a rotating file and is killed 20 times
	cd integration && SHIP_BINARY=$(CURDIR)/bin/vmcp-audit SHIP_LINES=500000 SHIP_KILLS=20 go test -count=1 -v -timeout 1h -run '^TestShipSurvives$$' .

load: ## the virtual server: 10,000 sessions, and 6,000 operations while its back ends fail
	SERVE_SESSIONS=10000 go test -count=1 -v -timeout 1h -run '^TestLeak$$' ./cmd/vmcp-audit/internal/vmcp
	cd integration && LOAD_OPS=1000 go test -count=1 -v -timeout 1h -run '^TestServeLoad$$' .

# SA1019: the integration tests use what 2026-07-28 deprecated, since clients still do.
lint: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l . && false; }
	go vet ./... && go run $(STATICCHECK) ./... && cd integration && go vet ./... && go run $(STATICCHECK) -checks inherit,-SA1019 ./...

golangci: ## the longer list of .golangci.yml; the first run builds the linter
	go run $(GOLANGCI) run ./...

fuzz: ## each fuzz target for FUZZTIME
	sh integration/fuzz.sh $(FUZZTIME)

integration: peers ## against real servers and clients
	cd integration && go test -race -timeout 30m ./...

delivery: ## kills and faults in their full number, without the race detector
	cd integration && go test -count=1 -v -timeout 30m ./delivery

syslog: ## 50,000 events to each syslog receiver, which fails meanwhile, without the race detector
	@sh integration/need.sh rsyslogd syslog-ng
	cd integration && go test -count=1 -v -timeout 30m ./syslog -events 50000

peers:
	@sh integration/need.sh go git gcc node npm strace mkfs.ext4 rsyslogd syslog-ng lognormalizer
	cd integration/npm && npm ci --no-audit --no-fund --loglevel=error

bench: ## what the audit costs; the spool beside other stores; delivery beside a plain loop, srslog and rsyslog; JSON beside other encoders; the servers beside a direct call; ship beside the OpenTelemetry Collector
	go test -run '^$$' -bench . -benchmem ./emitter ./formats ./middleware ./middleware/internal/...
	cd integration && go run ./spoolbench && go run ./deliverybench && go run ./syslogbench && go run ./formatbench && go run ./servebench
	cd integration/shipbench/otelcol && go build -o $(CURDIR)/bin/otelcol . && cd ../.. && go run ./shipbench -otelcol $(CURDIR)/bin/otelcol

docs: ## the generated pages
	go run ./docs/gen
	go test -count=1 -run '^TestPage$$' ./cmd/vmcp-audit/internal/vmcp/config -args -update

check: lint test ## what has to pass before a change lands

dist: ## release binaries and their checksums
	sh integration/dist.sh '$(LDFLAGS)'
