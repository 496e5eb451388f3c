#!/bin/sh
# test.sh [GO-TEST-ARGUMENTS…]: runs the end-to-end packages, LANES at a time (four more than there are processors), for a
# laboratory mostly waits. Each has networks of its own, so that a long package can be run in parts as well. The analysers and
# the tests of single packages (make check, make units) are two parts more; SMOKE=CODENAME is another, make smoke on that release, and
# PACKAGES=yes one more, make packages-test.
#
# What fails is run once more, alone, and named: programs, servers and networks of several processes on a busy machine
# miss a moment now and then, and a second failure in a row is no such accident. What the analysers and the race detector find is none.
set -u
cd "$(dirname "$0")/.." || exit 1
go=${GO:-go}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# The lanes in the background hear no interrupt of the terminal's.
lane_ids=
# shellcheck disable=SC2317 # it is called by the trap
stop() {
	for lane_id in $lane_ids; do
		pkill -P "$lane_id"
		kill "$lane_id"
	done 2>/dev/null
	exit 1
}
trap stop INT TERM

# A line a part: a package and, where that is run in several parts, the tests of this one. Those that take longest come
# first, so that all lanes end at about the same time.
parts() {
	[ -z "${SMOKE-}" ] || echo smoke
	[ -z "${PACKAGES-}" ] || echo packages
	for package in tls units check failover matrix migration manager; do
		case $package in
		units | check) echo "$package" ;;
		tls) split tls 4 ;;
		failover) split failover 3 ;;
		matrix | migration) split "$package" 2 ;;
		*) split "$package" 1 ;;
		esac
	done
	"$go" list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./e2e/... |
		grep -Ev '/(tls|failover|matrix|migration|manager)$'
}

# A package in that many parts. Tests of one file stay together, as far as that goes: they may share what takes time to make.
split() {
	[ "$2" -gt 1 ] || { echo "midstream/e2e/$1"; return; }
	sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*testing\.T).*/\1/p' e2e/"$1"/*_test.go |
		awk -v package="midstream/e2e/$1" -v parts="$2" '
			{ name[NR] = $1 }
			END {
				for (p = 0; p < parts; p++) {
					list = ""
					for (i = int(NR * p / parts) + 1; i <= int(NR * (p + 1) / parts); i++)
						list = list "|" name[i]
					print package, "^(" substr(list, 2) ")$"
				}
			}'
}

# Runs a package with these arguments, or a target of the Makefile's, which takes none. What go remembers of an earlier run does
# not count: it knows nothing of the libraries and servers that a laboratory runs.
part() {
	package=$1
	shift
	case $package in
	units | check) make -s "GO=$go" "$package" ;;
	packages)
		GO=$go QUICK=yes sh package/deb.sh "$(dpkg --print-architecture)" || return
		sh package/test.sh || { [ $? = 3 ] && echo "test.sh: packages are not tested: there can be no clean Debian here"; }
		;;
	smoke) sh e2e/release.sh "$SMOKE" make -s smoke || { [ $? = 3 ] && echo "test.sh: no smoke run: there can be no $SMOKE here"; } ;;
	*) "$go" test -count=1 -timeout 20m "$@" "$package" ;;
	esac
}

# One part: the name of its output ends in what became of it.
run_one() {
	out=$work/$1
	package=$2
	only=$3
	shift 3
	[ -z "$only" ] || set -- -run "$only" "$@"
	begun=$(date +%s)
	if part "$package" "$@" >"$out" 2>&1; then
		became=passed
	else
		became=failed
		echo "$package $only" >"$out.failed"
	fi
	cat "$out"
	: >"$out.done"
	set -- "$work"/*.done
	echo "test.sh: $package $became after $(($(date +%s) - begun)) s; $# of $(wc -l <"$work/parts") parts are done"
}

parts >"$work/parts" || exit 1
lanes=${LANES:-$(($(nproc) + 4))}
echo "test.sh: $(wc -l <"$work/parts") parts, $lanes at a time; about eleven minutes on two processors"
lane() {
	while :; do
		# A folder can be made only once: whoever makes it has the part.
		number=0
		next=
		while read -r package only; do
			number=$((number + 1))
			mkdir "$work/taken.$number" 2>/dev/null || continue
			next=$package
			break
		done <"$work/parts"
		[ -n "$next" ] || return 0
		run_one "$number" "$next" "$only" "$@"
	done
}
while [ "$lanes" -gt 1 ]; do
	lane "$@" &
	lane_ids="$lane_ids $!"
	lanes=$((lanes - 1))
done
lane "$@"
wait

status=0
repeated=
if [ "$(find "$work" -name '*.done' | wc -l)" -ne "$(wc -l <"$work/parts")" ]; then
	echo "test.sh: not all parts have come to an end"
	status=1
fi
for file in "$work"/*.failed; do
	[ -e "$file" ] || continue
	read -r package only <"$file"
	failed=$(sed -n 's/^--- FAIL: \([A-Za-z0-9_]*\).*/\1/p' "${file%.failed}" | sort -u | tr '\n' '|' | sed 's/|$//')
	if [ "$package" = check ] || grep -q '^WARNING: DATA RACE' "${file%.failed}"; then
		status=1
		continue
	fi
	# Where the test's own program has broken down, it has named none, or not those that were still to come.
	grep -Eq '^(panic|fatal error): ' "${file%.failed}" && failed=
	failed=${failed:-$(echo "$only" | sed 's/^^(\(.*\))\$$/\1/')}
	echo "test.sh: once more: $package ${failed:-, all of it}"
	if part "$package" "$@" -run "^(${failed:-.*})\$"; then
		repeated="$repeated ${failed:-$package}"
	else
		status=1
	fi
done
[ -z "$repeated" ] || echo "test.sh: passed only when repeated:$repeated"
exit $status
