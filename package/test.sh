#!/bin/sh
# test.sh [CODENAME…]: installs, uses, upgrades, removes and purges the package of this machine's architecture in clean root folders of
# Debian, each time anew: over one that mmdebstrap has filled lies an overlay that is thrown away. Needs root; two minutes. Exit status 3:
# there can be no such folder here.
# shellcheck disable=SC2016 # what is quoted so is for apt, or for a shell within
set -eu
cd "$(dirname "$0")/.."
. e2e/roots.sh
[ "$(id -u)" = 0 ] || { echo "test: this needs root: only root may enter another release's root folder" >&2; exit 1; }
[ $# -gt 0 ] || set -- bookworm trixie
architecture=$(dpkg --print-architecture)
deb=$PWD/build/packages/midstream_$(cat VERSION)_$architecture.deb
[ -f "$deb" ] || { echo "test: there is no $deb: make deb" >&2; exit 1; }

one() {
    clean_root "$1" || return
    echo "test: $1"
    work=$(mktemp -d)
    export clean deb work
    status=0
    unshare --mount --pid --net --fork --kill-child --propagation private sh -ec '
        mount -t tmpfs tmpfs "$work"
        mkdir "$work/upper" "$work/work" "$work/root"
        mount -t overlay overlay -o "lowerdir=$clean,upperdir=$work/upper,workdir=$work/work" "$work/root"
        cp "$deb" package/networks.sh package/test-*.sh "$work/root/tmp/"
        cd "$work/root"
        mount -t proc proc proc
        mount --rbind /sys sys
        mount --rbind /dev dev
        mkdir -p old
        pivot_root . old
        umount -l /old
        rmdir /old
        exec env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -eu /tmp/test-within.sh
    ' || status=$?
    rmdir "$work" # what was mounted there has gone with its namespace
    return $status
}

# Side by side: they mostly wait.
lines=$(mktemp -d)
trap 'rm -rf "$lines"' EXIT
for release; do
    (
        status=0
        one "$release" >"$lines/$release" 2>&1 || status=$?
        echo $status >"$lines/$release.status"
    ) &
done
wait
worst=0
for release; do
    cat "$lines/$release"
    status=$(cat "$lines/$release.status")
    case $status in
    0) ;;
    3) [ $worst != 0 ] || worst=3 ;;
    *) worst=1 ;;
    esac
done
exit $worst
