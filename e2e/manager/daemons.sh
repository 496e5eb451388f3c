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
if (cd "$packages" && apt-get -qq download systemd-resolved network-manager libnm0 libndp0 libteamdctl0 >/dev/null 2>&1); then
    for package in "$packages"/*.deb; do
        dpkg -x "$package" $to
    done
    touch $to/complete
else
    echo "daemons: systemd-resolved and NetworkManager cannot be downloaded; their tests will be skipped" >&2
fi
