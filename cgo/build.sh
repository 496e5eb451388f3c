#!/bin/sh
# build.sh OUTPUT: builds libmidstream-core.so with a Go runtime that keeps out of the program's way.
#
# The runtime unblocks and handles every signal in its table, whatever mask its threads inherit. The
# table is replaced, through -overlay, by a copy made from the toolchain in use that keeps only the
# faults the runtime itself needs (SIGSEGV, SIGBUS, SIGFPE).
set -eu
output=$1
go=${GO:-go}
work=$(dirname "$output")/cgo
mkdir -p "$work"

table=$("$go" env GOROOT)/src/runtime/sigtab_linux_generic.go
[ -f "$table" ] || { echo "build.sh: $table is missing: this Go toolchain is not supported" >&2; exit 1; }
sed -E '/^[[:space:]]*\/\*[[:space:]]*[0-9]+[[:space:]]*\*\//{
	/SIGSEGV:|SIGBUS:|SIGFPE:/!s/\{[^"]*,/{0,/
}' "$table" >"$work/sigtab_linux_generic.go"
kept=$(grep -cE '\{_Sig' "$work/sigtab_linux_generic.go" || true)
[ "$kept" = 3 ] || { echo "build.sh: $kept signals kept instead of 3: the table of this Go toolchain has another form" >&2; exit 1; }
printf '{"Replace":{"%s":"%s"}}\n' "$table" "$(cd "$work" && pwd)/sigtab_linux_generic.go" >"$work/overlay.json"
printf '{ global: midstream_core_start; local: *; };\n' >"$work/exports.map"

# netgo: names are looked up by the core itself, never by the C library inside somebody else's process.
CGO_ENABLED=1 "$go" build -buildmode=c-shared -trimpath -tags netgo,osusergo -overlay "$work/overlay.json" \
	-ldflags "-s -w -X runtime.godebugDefault=asyncpreemptoff=1,containermaxprocs=0,updatemaxprocs=0 \
	-extldflags '-Wl,--version-script=$(cd "$work" && pwd)/exports.map -Wl,-z,nodelete'" \
	-o "$output" ./cgo
