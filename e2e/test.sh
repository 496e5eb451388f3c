#!/bin/sh
# test.sh [GO-TEST-ARGUMENTS…]: runs the end-to-end packages one after the other, for a laboratory is big and measures time.
#
# What fails is run once more, alone, and named: programs, servers and networks of several processes on a busy machine
# miss a moment now and then, and a second failure in a row is no such accident.
set -u
cd "$(dirname "$0")/.." || exit 1
go=${GO:-go}
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
status=0
repeated=
for package in $("$go" list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./e2e/...); do
	if "$go" test -timeout 20m "$@" "$package" >"$out" 2>&1; then
		cat "$out"
		continue
	fi
	cat "$out"
	failed=$(sed -n 's/^--- FAIL: \([A-Za-z0-9_]*\).*/\1/p' "$out" | sort -u | tr '\n' '|' | sed 's/|$//')
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
