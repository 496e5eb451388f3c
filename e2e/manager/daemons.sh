#!/bin/sh
# Unpacks systemd-resolved and NetworkManager into build/daemons, without installing them: an installation would
# take over the machine's own names and networks. Where that fails, their tests are skipped.
set -eu
cd "$(dirname "$0")/../.."

to=build/daemons
if [ -x /lib/systemd/systemd-resolved ] && [ -x /usr/sbin/NetworkManager ] || [ -e $to/complete ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "daemons: this is no Debian machine; systemd-resolved and NetworkManager are tested only where they are installed" >&2
    exit 0
fi
mkdir -p $to
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
# With all that an installation would bring: which libraries are there already depends on the machine.
wanted=$(apt-get --simulate --no-install-recommends install systemd-resolved network-manager 2>/dev/null | sed -n 's/^Inst \([^ ]*\).*/\1/p' || true)
# shellcheck disable=SC2086 # one package a word
if [ -n "$wanted" ] && (cd "$packages" && apt-get -qq download $wanted >/dev/null 2>&1); then
    for package in "$packages"/*.deb; do
        dpkg -x "$package" $to
    done
    touch $to/complete
else
    echo "daemons: systemd-resolved and NetworkManager cannot be downloaded; their tests will be skipped" >&2
fi
