# Midstream. `make` builds into build/; `make demo` and `make test` set up what they need.

PREFIX ?= /usr/local
DESTDIR ?=
CC ?= cc
GO ?= go
BUILD := build

CFLAGS ?= -O2 -g
SHIM_CFLAGS := $(CFLAGS) -std=gnu11 -D_GNU_SOURCE -U_FORTIFY_SOURCE -fPIC -fvisibility=hidden -fexceptions \
	-ftls-model=initial-exec -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wno-missing-field-initializers
SHIM_LDFLAGS := -shared -Wl,-z,now,-z,relro,-z,noexecstack,-z,nodelete -Wl,--as-needed
SHIM_SOURCES := $(wildcard shim/*.c)
SHIM_OBJECTS := $(SHIM_SOURCES:shim/%.c=$(BUILD)/shim/%.o)
GO_SOURCES := $(shell find core cgo ctl -name '*.go' 2>/dev/null) go.mod go.sum

.PHONY: all
all: $(BUILD)/libmidstream.so $(BUILD)/libmidstream-core.so $(BUILD)/midstream $(BUILD)/midstreamctl

$(BUILD)/shim/%.o: shim/%.c $(wildcard shim/*.h) shim/calls.def cgo/abi.h Makefile
	@mkdir -p $(@D)
	$(CC) $(SHIM_CFLAGS) -c -o $@ $<

# The export map comes from the same table as the hooks.
$(BUILD)/shim/exports.map: shim/calls.def
	@mkdir -p $(@D)
	(echo '{ global:'; sed -n 's/^CALL([^,]*, *\([a-z0-9_]*\),.*/\1;/p' $<; echo 'local: *; };') > $@

$(BUILD)/libmidstream.so: $(SHIM_OBJECTS) $(BUILD)/shim/exports.map
	$(CC) $(SHIM_LDFLAGS) -Wl,--version-script=$(BUILD)/shim/exports.map -o $@ $(SHIM_OBJECTS)

$(BUILD)/libmidstream-core.so: $(GO_SOURCES) cgo/abi.h cgo/build.sh
	GO='$(GO)' sh cgo/build.sh $@

$(BUILD)/midstreamctl: $(GO_SOURCES)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $@ ./ctl/midstreamctl

# The launcher compares programs with the library's architecture; what that is, it is told here.
$(BUILD)/midstream: ctl/midstream/midstream $(BUILD)/libmidstream.so
	set -- $$(od -An -v -tu1 -N20 $(BUILD)/libmidstream.so); \
	sed "s/^_ms_own_arch=''$$/_ms_own_arch='$$5 $$6 $${19} $${20}'/" $< >$@.new
	chmod 755 $@.new
	mv $@.new $@

.PHONY: install
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/midstream
	install -m 755 $(BUILD)/midstream $(BUILD)/midstreamctl $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILD)/libmidstream.so $(BUILD)/libmidstream-core.so $(DESTDIR)$(PREFIX)/lib/midstream

.PHONY: clean
clean:
	rm -rf $(BUILD)
