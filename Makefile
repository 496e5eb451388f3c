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
