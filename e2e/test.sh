#!/bin/sh
# test.sh [GO-TEST-ARGUMENTS…]: runs the end-to-end packages, two at a time, for a laboratory mostly waits.
#
# What fails is run once more, alone, and named: programs, servers and networks of several processes on a busy machine
# miss a moment now and then, and a second failure in a row is no such accident.
set -u
cd "$(dirname "$0")/.." || exit 1
go=${GO:-go}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# Those that take longest come first, so that both lanes end at about the same time.
list() {
	all=$("$go" list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./e2e/...)
	long=midstream/e2e/tls\|midstream/e2e/failover\|midstream/e2e/matrix\|midstream/e2e/migration\|midstream/e2e/manager
	echo "$all" | grep -Ex "$long" | sort -r
	echo "$all" | grep -Evx "$long"
}

# One package: the name of its output ends in what became of it.
run_one() {
	out=$work/$(echo "$1" | tr / .)
	package=$1
	shift
	if "$go" test -timeout 20m "$@" "$package" >"$out" 2>&1; then
		cat "$out"
	else
		cat "$out"
		echo "$package" >"$out.failed"
	fi
}

list >"$work/packages" || exit 1
lane() {
	while :; do
		# A folder can be made only once: whoever makes it has the package.
		next=
		while read -r package; do
			mkdir "$work/taken.$(echo "$package" | tr / .)" 2>/dev/null || continue
			next=$package
			break
		done <"$work/packages"
		[ -n "$next" ] || return 0
		run_one "$next" "$@"
	done
}
lane "$@" &
lane "$@"
wait

status=0
repeated=
for file in "$work"/*.failed; do
	[ -e "$file" ] || continue
	read -r package <"$file"
	failed=$(sed -n 's/^--- FAIL: \([A-Za-z0-9_]*\).*/\1/p' "${file%.failed}" | sort -u | tr '\n' '|' | sed 's/|$//')
	if [ -z "$failed" ]; then
		status=1
		continue
	fi
	echo "test.sh: once more: $failed"
	if "$go" test -count=1 -timeout 20m "$@" -run "^($failed)\$" "$package"; then
		repeated="$repeated $failed"
	else
		status=1
	fi
done
[ -z "$repeated" ] || echo "test.sh: passed only when repeated:$repeated"
exit $status
