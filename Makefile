# Midstream. `make` builds into build/; `make demo` and `make test` set up what they need.

PREFIX ?= /usr/local
DESTDIR ?=
# Where the libraries are installed, below PREFIX; the launcher looks for them there.
LIBDIR ?= lib/midstream
VERSION := $(shell cat VERSION)
CC ?= cc
GO ?= go
BUILD := build

CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wno-missing-field-initializers
SHIM_CFLAGS := $(CFLAGS) -Ishim -std=gnu11 -D_GNU_SOURCE -U_FORTIFY_SOURCE -fPIC -fvisibility=hidden -fexceptions \
	-ftls-model=initial-exec $(WARNINGS)
SHIM_LDFLAGS := -shared -Wl,-Bsymbolic-functions -Wl,-z,now,-z,relro,-z,noexecstack,-z,nodelete -Wl,--as-needed
SHIM_SOURCES := $(wildcard shim/*/*.c)
SHIM_OBJECTS := $(SHIM_SOURCES:shim/%.c=$(BUILD)/shim/%.o)
# By a program of this machine, whatever is built for.
MIRROR := env -u GOOS -u GOARCH CGO_ENABLED=0 $(GO) run ./cgo/mirror
RELEASE_FLAGS := -X midstream/core/release.Version=$(VERSION)
GO_SOURCES := $(shell find core cgo ctl -name '*.go' 2>/dev/null) go.mod go.sum

.PHONY: all
all: needed $(BUILD)/libmidstream.so $(BUILD)/libmidstream-core.so $(BUILD)/midstream $(BUILD)/midstreamctl $(BUILD)/midstreamd $(BUILD)/midstream-supervisor

# What is built in beside the sources: it is built anew when that is another one.
$(BUILD)/settings: always
	@mkdir -p $(@D)
	@echo '$(VERSION) $(LIBDIR)' | cmp -s - $@ || echo '$(VERSION) $(LIBDIR)' >$@
.PHONY: always

# What is missing is said at once, not by the first command that fails for it.
.PHONY: needed
needed:
	@GO='$(GO)' sh e2e/setup.sh --check build

$(BUILD)/shim/%.o: shim/%.c $(wildcard shim/*/*.h shim/*/*.def) cgo/abi.h cgo/why.def Makefile
	@mkdir -p $(@D)
	$(CC) $(SHIM_CFLAGS) -c -o $@ $<

$(BUILD)/shim/process/version.o: SHIM_CFLAGS += -DMIDSTREAM_VERSION='"$(VERSION)"'
$(BUILD)/shim/process/version.o: $(BUILD)/settings

# A hook that ended in a jump to its library would hide behind the program's return address what the library then calls itself.
$(patsubst %.c,$(BUILD)/%.o,$(wildcard shim/libraries/*.c shim/openssl/*.c)): SHIM_CFLAGS += -fno-optimize-sibling-calls

# The export map comes from the same tables as the hooks; midstream_thread is for the core, the next two for the supervisor.
$(BUILD)/shim/exports.map: shim/process/calls.def shim/tls/tls.def Makefile
	@mkdir -p $(@D)
	(echo '{ global: midstream_thread; midstream_carries; midstream_passes;'; sed -n 's/^CALL([^,]*, *\([A-Za-z0-9_]*\),.*/\1;/p' $(filter %.def,$^); echo 'local: *; };') > $@

$(BUILD)/libmidstream.so: $(SHIM_OBJECTS) $(BUILD)/shim/exports.map
	$(CC) $(SHIM_LDFLAGS) -Wl,--version-script=$(BUILD)/shim/exports.map -o $@ $(SHIM_OBJECTS)

$(BUILD)/libmidstream-core.so: $(GO_SOURCES) cgo/abi.h cgo/why.def $(wildcard cgo/*.c) cgo/guest.go.in cgo/build.sh $(BUILD)/shim/process/version.o
	$(MIRROR) -check
	GO='$(GO)' sh cgo/build.sh $@ $(BUILD)/shim/process/version.o '$(RELEASE_FLAGS)'

$(BUILD)/midstreamctl $(BUILD)/midstreamd: $(GO_SOURCES) $(BUILD)/settings
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w $(RELEASE_FLAGS) -X midstream/ctl/libraries.Folder=$(LIBDIR)' -o $@ ./ctl/$(@F)

$(BUILD)/midstream: $(wildcard ctl/midstream/launcher/*.c ctl/midstream/launcher/*.h) Makefile $(BUILD)/settings
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(WARNINGS) -std=gnu11 -D_GNU_SOURCE -DMIDSTREAM_VERSION='"$(VERSION)"' -DLIBRARY_FOLDER='"$(LIBDIR)"' -Wl,--as-needed,-z,relro,-z,now -o $@ $(filter %.c,$^)

# It asks the preload, which it is under, by name.
$(BUILD)/midstream-supervisor: $(wildcard $(foreach f,c h def,supervisor/*.$(f) supervisor/*/*.$(f))) ctl/midstream/launcher/elf.c ctl/midstream/launcher/elf.h \
		shim/framing/hello.c shim/framing/hello.h shim/stream/carried.h cgo/abi.h cgo/why.def Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(WARNINGS) -std=gnu11 -D_GNU_SOURCE -Wl,--as-needed,-z,relro,-z,now -o $@ $(filter %.c,$^)

# The manual pages and completions that are made from the commands themselves: by programs of this machine, whatever is built for.
MADE := $(addprefix $(BUILD)/package/,midstreamctl.1 midstream.toml.5 midstreamctl.bash midstreamctl.zsh midstreamctl.fish licences)
.PHONY: pages
pages: $(MADE)
$(BUILD)/package/midstreamctl: $(GO_SOURCES)
	@mkdir -p $(@D)
	env -u GOOS -u GOARCH CGO_ENABLED=0 $(GO) build -o $@ ./ctl/midstreamctl
$(BUILD)/package/licences: go.mod package/licences.sh
	@mkdir -p $(@D)
	GO='$(GO)' sh package/licences.sh $@
$(BUILD)/package/midstreamctl.1: $(BUILD)/package/midstreamctl
	$< page >$@
$(BUILD)/package/midstream.toml.5: $(BUILD)/package/midstreamctl docs/configuration.md
	$< page docs/configuration.md >$@
$(BUILD)/package/midstreamctl.%sh: $(BUILD)/package/midstreamctl
	$< completion $*sh >$@

# package/files is the list. ~/.local, relative folders and packages: package/install.sh.
.PHONY: install uninstall
install: all pages
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' LIBDIR='$(LIBDIR)' sh package/install.sh install
uninstall:
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' LIBDIR='$(LIBDIR)' sh package/install.sh uninstall

# Packages, in build/packages.
ARCHITECTURES ?= amd64 arm64
.PHONY: deb
deb:
	sh e2e/setup.sh deb
	GO='$(GO)' sh package/deb.sh $(ARCHITECTURES)
.PHONY: rpm
rpm: all pages
	GO='$(GO)' sh package/rpm.sh

# Installed, used, upgraded amid a download, removed and purged in clean root folders of Debian 12 and 13: two minutes, as root.
.PHONY: packages-test
packages-test: all
	GO='$(GO)' QUICK=yes sh package/deb.sh $$(dpkg --print-architecture)
	sh package/test.sh

# The arm64 package under qemu-user, in networks of its own; as root.
.PHONY: arm64-test
arm64-test: all
	GO='$(GO)' sh package/deb.sh arm64
	sh package/arm64.sh

# The set-up comes first even with -j: it may be what installs the compilers.
.PHONY: setup
setup:
	sh e2e/setup.sh
	sh e2e/manager/daemons.sh
	sh e2e/tls/older.sh

.PHONY: demo
demo:
	sh e2e/setup.sh demo
	$(MAKE) all
	$(GO) run ./e2e/demo -record $(BUILD)/demo $(if $(TOGETHER),-together) $(if $(FAIL),-fail)

# All tests and the analysers have a script of their own, which runs several of them side by side: a laboratory mostly waits.
.PHONY: test
test: setup
	$(MAKE) all
	GO='$(GO)' sh e2e/test.sh

# core/aggregate tries a simulator's hours, which take minutes under the race detector.
.PHONY: units
units: all
	$(GO) test -race $$($(GO) list ./core/... | grep -v /aggregate)
	$(GO) test ./core/aggregate ./cgo/...
	$(GO) test -count=1 ./ctl/... ./shim/...

# One test, wherever it stands, as often as COUNT says, with all that it says: make one T=TestName
COUNT ?= 1
.PHONY: one
one: all
	@[ -n "$(T)" ] || { echo 'make one T=TestName, for example T=TestRefused or T=TestRefused/expired' >&2; exit 2; }
	@packages=$$(grep -rl --include='*_test.go' '^func $(firstword $(subst /, ,$(T)))\b' core cgo ctl e2e shim | xargs -r -n 1 dirname | sort -u | sed 's|^|./|'); \
	[ -n "$$packages" ] || { echo "no test is called $(T)" >&2; exit 2; }; \
	$(GO) test -v -count=$(COUNT) -run '^$(subst /,$$/^,$(T))$$' $$packages

.PHONY: help
help:
	@echo 'make                    builds into build/'
	@echo 'make demo               shows a download that changes network, in networks of its own; FAIL=1: that loses them, TOGETHER=1: over both;'
	@echo '                        and writes build/demo.svg, build/demo.jsonl, and in a terminal build/demo.cast'
	@echo 'make test               runs all tests: about twelve minutes on two processors; installs what they need (Debian 12, 13)'
	@echo 'make one T=TestName     runs one test; COUNT=20 runs it so often'
	@echo 'make smoke [RELEASE=trixie]   a minute of tests, here or on another release of Debian'
	@echo 'make units              the tests that need no networks of their own'
	@echo 'make check              analysers and formatting'
	@echo 'make mirror             makes the Go side of cgo/abi.h and cgo/why.def anew'
	@echo 'make fuzz [FUZZTIME=5s] every fuzz target for so long'
	@echo 'make random FOR=2h      random downloads under random failures'
	@echo 'make bench              all figures, on a machine that does nothing else'
	@echo 'make programs           the table of programs that are served; PROGRAMS=-install installs them first'
	@echo 'make install, make uninstall   PREFIX=/usr/local, DESTDIR='
	@echo 'make deb                packages for Debian, in build/packages; ARCHITECTURES="amd64 arm64"'
	@echo 'make rpm                an RPM and a tarball of the same; make packages-test  installs, uses, removes them in clean Debians'
	@echo 'make clean              removes build/'

# A look at whether it works at all, of a minute; with RELEASE=trixie, for example, on that release of Debian.
RELEASE ?=
.PHONY: smoke
smoke:
ifneq ($(RELEASE),)
	sh e2e/release.sh $(RELEASE) make smoke
else
	sh e2e/setup.sh smoke
	$(MAKE) all
	$(GO) test ./e2e/transparency -run TestCommands
	$(GO) run ./e2e/programs -check -lanes 3 -only '^(curl|wget|Python urllib)$$'
endif

# What core/channel says of cgo/abi.h, and core/reason of cgo/why.def, is made from those.
.PHONY: mirror
mirror:
	$(MIRROR)

SCRIPTS := $(wildcard package/*.sh) package/midstream.bash package/90-midstream e2e/setup.sh e2e/test.sh e2e/release.sh e2e/roots.sh e2e/manager/daemons.sh e2e/tls/older.sh cgo/build.sh shim/folders.sh .ci/run
# What is handed on into a structure of another file counts as leaked for gcc 12.
ANALYZE := $(CFLAGS) -Ishim -std=gnu11 -D_GNU_SOURCE -fanalyzer -Wno-analyzer-malloc-leak -Werror -o /dev/null -c

# Those of later releases than Debian 12's are in it too: of cppcheck 2.17, that it has not looked everywhere.
SUPPRESS := $(addprefix --suppress=,ctuuninitvar uninitvar:shim/tls/membio.c autoVariables:shim/hooks/recv.c nullPointerOutOfMemory normalCheckLevelMaxBranches)

.PHONY: check
check:
	$(MIRROR) -check
	$(GO) vet ./cgo/... ./core/... ./ctl/... ./shim/... ./e2e/...
	@unformatted=$$(gofmt -l cgo core ctl e2e shim); [ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted" >&2; exit 1; }
	@# (ctu)uninitvar takes what a function fills for what it reads, autoVariables a structure's loan for a leak.
	cppcheck -j $$(nproc) --quiet --error-exitcode=1 --enable=warning,portability,performance --inline-suppr $(SUPPRESS) --std=c11 -D_GNU_SOURCE -D__x86_64__ -D__LP64__ '-DElfW(type)=Elf64_##type' -Ishim $(SHIM_SOURCES) shim/tests/framing ctl/midstream/launcher supervisor e2e/clients
	printf '%s\n' $(SHIM_SOURCES) ctl/midstream/launcher/*.c supervisor/*.c supervisor/*/*.c | xargs -n 1 -P $$(nproc) gcc $(ANALYZE)
	sh shim/folders.sh
	shellcheck -x $(SCRIPTS)
	$(MAKE) -s pages
	mandoc -T lint -W warning docs/man/* $(filter %.1 %.5,$(MADE))

# Every fuzz target for a few seconds; FUZZTIME=10m searches in earnest.
FUZZTIME ?= 5s
.PHONY: fuzz
fuzz:
	grep -rl --include='*_test.go' --exclude-dir=build '^func Fuzz' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			$(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) ./$$(dirname $$file) || exit 1; \
		done; \
	done

# Random downloads under random failures, as long as FOR says; SEED repeats a run.
FOR ?= 10m
SEED ?=
.PHONY: random
random: all
	MIDSTREAM_COMMUTE=$(FOR) MIDSTREAM_SEED=$(SEED) $(GO) test -v -count=1 -timeout 0 -run '^TestCommuting$$' ./e2e/failover

.PHONY: bench
bench: setup
	$(MAKE) all
	$(GO) run ./e2e/bench
	$(GO) run ./e2e/bench/failover -runs 1
	$(GO) run ./e2e/bench/failover -runs 1 -tls -only handshake

# Which programs are served, with those that are installed; PROGRAMS=-install installs them all first.
PROGRAMS ?=
.PHONY: programs
programs:
	sh e2e/setup.sh
	$(MAKE) all
	$(GO) run ./e2e/programs $(PROGRAMS)

.PHONY: clean
clean:
	rm -rf $(BUILD)
