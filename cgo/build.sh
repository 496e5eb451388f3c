#!/bin/sh
# build.sh OUTPUT VERSION.O LINKER-FLAGS: builds libmidstream-core.so, which carries VERSION.O as well, with a Go runtime that keeps out of the program's way.
#
# Some files of the toolchain in use are replaced, through -overlay, by copies made here:
#   - the runtime's signal table. The runtime handles every signal in it, and unblocks some, whatever mask its
#     threads inherit. Nothing stays but 32 to 34, the C library's own, whose handlers must not run on the
#     small stacks of goroutines (SA_ONSTACK).
#   - syscall/rlimit.go, which raises the process's RLIMIT_NOFILE. That limit is the program's.
#   - the runtime's scheduler. It starts with a thread for every processor, reads the limits of control groups, and
#     looks after blocked threads 50 times in the first 5 ms: a third of the processor time that a start costs the
#     program. Here it starts with one processor (core/relay/processors.go), whatever GOMAXPROCS says to the program, and looks every
#     millisecond.
#   - where the runtime ends the process, and where it is told by the program's GOTRACEBACK to abort it: guest.go.in is added.
#     Its threads end where they would sleep, when the core has ended.
# Its threads come from thread.c.
set -eu
output=$1
version_object=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
go=${GO:-go}
work=$(dirname "$output")/cgo
mkdir -p "$work"

# A toolchain that go fetched for go.mod lies in the module cache, below which nothing may be replaced. The check
# compares names: by another name, it may.
# What is replaced has the form that it has in these; a later Go may need another way to change it.
version=$("$go" env GOVERSION)
unfit() {
	echo "build.sh: the core is built with Go 1.25 or 1.26, and $version is another: $1. Install one of these, and build with make GO=/path/to/go" >&2
	exit 1
}

root=$("$go" env GOROOT)
case $root/ in
"$("$go" env GOMODCACHE)"/*)
	ln -sfn "$root" "$work/goroot"
	root=$(cd "$work" && pwd)/goroot
	go=$root/bin/go
	export GOROOT="$root" GOTOOLCHAIN=local
	;;
esac

table=$root/src/runtime/sigtab_linux_generic.go
[ -f "$table" ] || unfit "$table is missing"
sed -E '/^[[:space:]]*\/\*[[:space:]]*[0-9]+[[:space:]]*\*\//{
	/"signal 3[234]"/!s/\{[^"]*,/{0,/
}' "$table" >"$work/sigtab_linux_generic.go"
kept=$(grep -cE '\{_Sig' "$work/sigtab_linux_generic.go" || true)
[ "$kept" = 3 ] || unfit "its table of signals has another form ($table)"
limits=$root/src/syscall/rlimit.go
sed 's/^func init() {$/func raiseOpenFiles() {/' "$limits" >"$work/rlimit.go"
grep -q '^func raiseOpenFiles() {$' "$work/rlimit.go" || unfit "$limits has another form"
scheduler=$root/src/runtime/proc.go
sed -E -e 's/^(\t+)delay = 20( .*)?$/\1delay = 1000/' -e 's/gogetenv\("GOMAXPROCS"\)/"1"/' -e '/^\tdefaultGOMAXPROCSInit\(\)$/d' "$scheduler" >"$work/proc.go"
changed=$(diff "$scheduler" "$work/proc.go" | grep -c '^<' || true)
[ "$changed" = 4 ] || unfit "its scheduler has another form ($scheduler)"
here=$(cd "$work" && pwd)
cp cgo/guest.go.in "$work/guest.go"
sed -i -E -e 's/^(\t+)exit\([0-9]\)$/\1guestEnd()/' -e 's/^(\t+)usleep\(delay\)$/\1guestLeave()\n&/' "$work/proc.go"
grep -q guestLeave "$work/proc.go" || unfit "its scheduler has another form ($scheduler)"
replace=
for name in panic signal_unix mem_linux os_linux cgocall runtime1; do
	file=$root/src/runtime/$name.go
	sed -E -e 's/^(\t+)exit\([0-9]\)$/\1guestEnd()/' -e 's/^(\t+)crash\(\)$/\1guestEnd()/' \
		-e 's/gogetenv\("GOTRACEBACK"\)/"none"/' -e '/^\t+t \|= tracebackCrash$/d' \
		-e 's/^func futexsleep\(/func futexsleepInProcess(/' "$file" >"$work/$name.go"
	! cmp -s "$file" "$work/$name.go" || unfit "$file has another form"
	replace="$replace,\"$file\":\"$here/$name.go\""
done
printf '{"Replace":{"%s":"%s","%s":"%s","%s":"%s","%s":"%s"%s}}\n' "$table" "$here/sigtab_linux_generic.go" "$limits" "$here/rlimit.go" \
	"$scheduler" "$here/proc.go" "$root/src/runtime/guest_midstream.go" "$here/guest.go" "$replace" >"$work/overlay.json"
printf '{ global: midstream_core_start; local: *; };\n' >"$work/exports.map"

# Relative relocations in a table of a twentieth of the size, all of which is read when the library is loaded. The
# linker of another machine than Debian's may not know them, and a C library before 2.36 refuses them.
relr=
glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed -n 's/^glibc 2\.\([0-9]*\).*/\1/p')
if [ "${glibc:-0}" -ge 36 ] && "${CC:-cc}" -Wl,--help 2>/dev/null | grep -q pack-relative-relocs; then
	relr=,-z,pack-relative-relocs
fi

# netgo: names are looked up by the core itself, never by the C library inside somebody else's process.
CGO_ENABLED=1 "$go" build -buildmode=c-shared -trimpath -tags netgo,osusergo -overlay "$work/overlay.json" \
	-ldflags "-s -w $3 -X runtime.godebugDefault=asyncpreemptoff=1,containermaxprocs=0,updatemaxprocs=0 \
	-extldflags '$version_object -Wl,--wrap=pthread_create,--wrap=pthread_attr_getstacksize,--wrap=abort -Wl,--version-script=$here/exports.map -Wl,-z,nodelete -Wl,-z,max-page-size=0x10000 -Wl,-z,common-page-size=0x10000$relr'" \
	-o "$work/core.so" ./cgo
# In small pieces, and so into small folios of the page cache: of the large ones that a linker's own writing makes, the
# kernel maps all into a process that needs an octet (1.3 MB more of this library).
cp "$work/core.so" "$output.new"
mv "$output.new" "$output"
