#!/bin/sh
# arm64.sh: tries the arm64 package under qemu-user, in networks of its own: curl of Debian for arm64 has its downloads moved, over TLS
# as well, and outlives its network. Needs root, qemu-user-static, debootstrap, nginx and openssl, and build/packages/*_arm64.deb. What
# it cannot show: that which lies in the processor and in the kernel below (time, memory order), and programs that start others, for
# which the kernel would have to be told of qemu (binfmt_misc).
# shellcheck disable=SC2016 # what is quoted so is for apt, or for a shell within
set -eu
cd "$(dirname "$0")/.."
. e2e/roots.sh
deb=$PWD/build/packages/midstream_$(cat VERSION)_arm64.deb
[ -f "$deb" ] || { echo "arm64: there is no $deb: make deb" >&2; exit 1; }
[ -x build/midstreamctl ] || { echo "arm64: make" >&2; exit 1; }
base=$PWD/build/packages/roots/arm64
if [ ! -e "$base.complete" ]; then
    fill_root "$base" bookworm --arch=arm64 --foreign --include=curl,wget,ca-certificates
    # Not installed, which would need their own programs to run: only unpacked, as qemu looks for libraries.
    for one in "$base"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$one" "$base"; done
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
    . package/networks.sh
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key" -out "$work/certificate" -subj /CN=10.77.1.80 -addext subjectAltName=IP:10.77.1.80 -days 2 2>/dev/null
    cat >"$work/nginx.conf" <<CONF
user root; pid $work/nginx.pid; error_log $work/nginx.log; events {}
http { access_log off; server { listen 80; listen 443 ssl; ssl_certificate $work/certificate; ssl_certificate_key $work/key; root $work/www; limit_rate 400k; } }
CONF
    nsenter -t $far -n nginx -c "$work/nginx.conf"
    export MIDSTREAM_RUNTIME_DIR="$work/run"
    for what in moved-http moved-https lost-http lost-https; do
        timeout 120 qemu-aarch64-static -L "$base" -E LD_PRELOAD=/usr/lib/aarch64-linux-gnu/midstream/libmidstream.so "$base/usr/bin/curl" \
            -sS --cacert "$work/certificate" -o "$work/got" "${what#*-}://10.77.1.80/film.mkv" &
        program=$!
        tries=100
        until "$ctl" sessions | grep -q "%)"; do
            tries=$((tries - 1))
            [ $tries -gt 0 ] || { echo "arm64: FAILED: $what is not followed"; exit 1; }
            sleep 0.2
        done
        case $what in
        moved-*) "$ctl" migrate wwan0 >"$work/said" 2>&1 || { cat "$work/said"; echo "arm64: FAILED: $what"; exit 1; } ;;
        lost-*) nsenter -t $far -n ip link set far1 down ;;
        esac
        wait $program || { echo "arm64: FAILED: $what: curl ended with $?"; exit 1; }
        cmp "$work/got" "$work/www/film.mkv" || { echo "arm64: FAILED: $what: the file differs"; exit 1; }
        nsenter -t $far -n ip link set far1 up
        echo "  $what: octet by octet the same"
    done
    nsenter -t $far -n nginx -c "$work/nginx.conf" -s stop 2>/dev/null
    kill $far'
