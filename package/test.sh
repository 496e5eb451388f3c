#!/bin/sh
# test.sh [CODENAME…]: installs, uses, upgrades, removes and purges the package of this machine's architecture in clean root folders of
# Debian, each time anew: over one that debootstrap has filled lies an overlay that is thrown away. Needs root; some minutes.
# shellcheck disable=SC2016 # what is quoted so is for apt, or for a shell within
set -eu
cd "$(dirname "$0")/.."
. e2e/roots.sh
[ "$(id -u)" = 0 ] || { echo "test: this needs root: only root may enter another release's root folder" >&2; exit 1; }
[ $# -gt 0 ] || set -- bookworm trixie
architecture=$(dpkg --print-architecture)
deb=$PWD/build/packages/midstream_$(cat VERSION)_$architecture.deb
[ -f "$deb" ] || { echo "test: there is no $deb: make deb" >&2; exit 1; }
for release; do
    base=$PWD/build/packages/roots/$release
    if [ ! -e "$base.complete" ]; then
        fill_root "$base" "$release"
        # What the test itself needs, before the machine is looked at.
        cp -L /etc/resolv.conf "$base/etc/resolv.conf"
        DEBIAN_FRONTEND=noninteractive chroot "$base" sh -ec '
            printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
            apt-get install -y --no-install-recommends nginx-light curl iproute2 ca-certificates systemd' >>"$base.log" 2>&1 || {
            tail -n 20 "$base.log" >&2
            exit 1
        }
        touch "$base.complete"
    fi
    echo "test: $release"
    work=$(mktemp -d)
    trap 'rmdir "$work"' EXIT # what is mounted there goes with its namespace
    export base deb work
    unshare --mount --pid --net --fork --kill-child --propagation private sh -ec '
        mount -t tmpfs tmpfs "$work"
        mkdir "$work/upper" "$work/work" "$work/root"
        mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/work" "$work/root"
        cp "$deb" package/networks.sh package/test-units.sh package/test-within.sh "$work/root/tmp/"
        cd "$work/root"
        mount -t proc proc proc
        mount --rbind /sys sys
        mount --rbind /dev dev
        mkdir -p old
        pivot_root . old
        umount -l /old
        rmdir /old
        exec env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -eu /tmp/test-within.sh
    '
    rmdir "$work"
    trap - EXIT
done
