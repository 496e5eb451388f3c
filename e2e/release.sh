#!/bin/sh
# release.sh CODENAME COMMAND [ARG…]: runs a command in this checkout on another release of Debian: in a root folder of its own that
# mmdebstrap fills, in mount and process namespaces. The folder, build/releases/CODENAME, is kept and used again.
# Needs root. Go, its modules and what it has compiled are those of this machine. Exit status 3: there can be no such folder here.
# shellcheck disable=SC2016 # what is quoted so is for apt, or for a shell within
set -eu
cd "$(dirname "$0")/.."
. e2e/roots.sh

say() { echo "release: $*" >&2; }

if [ $# -lt 2 ]; then
    say "usage: sh e2e/release.sh CODENAME COMMAND [ARG…]"
    exit 2
fi
release=$1
shift
if [ "$(id -u)" != 0 ]; then
    say "this needs root: only root may fill a root folder with another release"
    exit 3
fi

root=$PWD/build/releases/$release
if [ ! -e "$root/complete" ]; then
    clean_root "$release" || exit 3
    rm -rf "$root"
    mkdir -p build/releases
    cp -a "$clean" "$root"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    chroot "$root" sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends make git' >"$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        exit 3
    }
    touch "$root/complete"
fi

# What git knows of the checkout, as it stands; build/ of that release is kept.
mkdir -p "$root/midstream"
find "$root/midstream" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
copy_checkout "$root/midstream"

go_root=$(go env GOROOT)
go_modules=$(go env GOMODCACHE)
go_cache=$(go env GOCACHE)
go_proxy=$(go env GOPROXY)
go_sums=$(go env GOSUMDB)
go_flags=$(go env GOFLAGS)
mkdir -p "$root/go/root" "$root/go/modules" "$root/go/cache" "$root/old" "$root/proc" "$root/sys" "$root/dev" "$go_modules" "$go_cache"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"

export root go_root go_modules go_cache go_proxy go_sums go_flags
exec unshare --mount --pid --fork --kill-child --propagation private sh -ec '
    mount --rbind "$root" "$root"
    cd "$root"
    mount -t proc proc proc
    mount --rbind /sys sys
    mount --rbind /dev dev
    mount --bind "$go_root" go/root
    mount --bind "$go_modules" go/modules
    mount --bind "$go_cache" go/cache
    pivot_root . old
    umount -l /old
    cd /midstream
    exec env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/go/root/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        GOTOOLCHAIN=local GOMODCACHE=/go/modules GOCACHE=/go/cache GOPROXY="$go_proxy" GOSUMDB="$go_sums" GOFLAGS="$go_flags" "$@"
' sh "$@"
