#!/bin/sh
# arm64.sh: tries the arm64 package under qemu-user, in networks of its own: curl of Debian for arm64 has its downloads moved, over TLS
# as well, and outlives its network. Needs root, qemu-user-static, mmdebstrap, nginx and openssl, and build/packages/*_arm64.deb. What
# it cannot show: that which lies in the processor and in the kernel below (time, memory order), and programs that start others, for
# which the kernel would have to be told of qemu (binfmt_misc).
# shellcheck disable=SC2016 # what is quoted so is for apt, or for a shell within
set -eu
cd "$(dirname "$0")/.."
. e2e/roots.sh
deb=$PWD/build/packages/midstream_$(cat VERSION)_arm64.deb
[ -f "$deb" ] || { echo "arm64: there is no $deb: make deb" >&2; exit 1; }
[ -x build/midstreamctl ] || { echo "arm64: make" >&2; exit 1; }
base=$PWD/build/roots/arm64
if [ ! -e "$base.complete" ]; then
    # Not installed, which would need their own programs to run: only unpacked, as qemu looks for libraries.
    fill_root "$base" bookworm --variant=extract --arch=arm64 --include=curl,wget,ca-certificates
    touch "$base.complete"
fi
dpkg-deb -x "$deb" "$base"
export base ctl="$PWD/build/midstreamctl"
exec unshare --mount --net --pid --fork --kill-child sh -euc '
    mount -t proc proc /proc
    work=$(mktemp -d)
    trap "rm -rf $work" EXIT
    mkdir -m 700 "$work/run" "$work/www"
    head -c 4000000 /dev/urandom >"$work/www/film.mkv"
    chmod 755 "$work" "$work/www"
    fail() { echo "arm64: FAILED: $*"; exit 1; }
    . package/networks.sh
    raise
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key" -out "$work/certificate" -subj /CN=10.77.1.80 -addext subjectAltName=IP:10.77.1.80 -days 2 2>/dev/null
    cat >"$work/nginx.conf" <<CONF
user root; pid $work/nginx.pid; error_log $work/nginx.log; events {}
http { access_log off; server { listen 80; listen 443 ssl; ssl_certificate $work/certificate; ssl_certificate_key $work/key; root $work/www; limit_rate 400k; } }
CONF
    nsenter -t $far -n nginx -c "$work/nginx.conf"
    export MIDSTREAM_RUNTIME_DIR="$work/run"
    followed() { "$ctl" sessions | grep "%)"; }
    for what in moved-http moved-https lost-http lost-https; do
        timeout 120 qemu-aarch64-static -L "$base" -E LD_PRELOAD=/usr/lib/aarch64-linux-gnu/midstream/libmidstream.so "$base/usr/bin/curl" \
            -sS --cacert "$work/certificate" -o "$work/got" "${what#*-}://10.77.1.80/film.mkv" &
        program=$!
        await followed
        case $what in
        moved-*) "$ctl" migrate wwan0 >"$work/said" 2>&1 || fail "$what: $(cat "$work/said")" ;;
        lost-*) nsenter -t $far -n ip link set far1 down ;;
        esac
        wait $program || fail "$what: curl ended with $?"
        cmp "$work/got" "$work/www/film.mkv" || fail "$what: the file differs"
        nsenter -t $far -n ip link set far1 up
        echo "  $what: octet by octet the same"
    done
    nsenter -t $far -n nginx -c "$work/nginx.conf" -s stop 2>/dev/null
    kill $far'
