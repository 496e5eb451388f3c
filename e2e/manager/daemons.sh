#!/bin/sh
# Unpacks systemd-resolved, NetworkManager and wpa_supplicant (5 MB) into build/daemons, without installing them: an installation would
# take over the machine's own names and networks. Where that fails, their tests are skipped.
set -eu
cd "$(dirname "$0")/../.."

to=build/daemons
packages="systemd-resolved network-manager wpasupplicant"
if [ -x /lib/systemd/systemd-resolved ] && [ -x /usr/sbin/NetworkManager ] && [ -x /usr/sbin/wpa_supplicant ]; then
    exit 0
fi
[ ! -e $to/complete ] || [ "$(cat $to/complete)" != "$packages" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "daemons: this is no Debian machine; they are tested only where they are installed" >&2
    exit 0
fi
mkdir -p $to
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# With all that an installation would bring: which libraries are there already depends on the machine.
# shellcheck disable=SC2086 # one package a word
wanted=$(apt-get --simulate --no-install-recommends install $packages 2>/dev/null | sed -n 's/^Inst \([^ ]*\).*/\1/p' || true)
# shellcheck disable=SC2086 # one package a word
if [ -n "$wanted" ] && (cd "$folder" && apt-get -qq download $wanted >/dev/null 2>&1); then
    for package in "$folder"/*.deb; do
        dpkg -x "$package" $to
    done
    echo "$packages" >$to/complete
else
    echo "daemons: they cannot be downloaded; their tests will be skipped" >&2
fi
