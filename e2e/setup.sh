#!/bin/sh
# Installs what the tests, the benchmarks and the demonstration need on a Debian machine.
#
#     e2e/setup.sh [smoke|demo|deb|build]          installs what is missing; needs root or sudo only if something is
#     e2e/setup.sh --check [smoke|demo|deb|build]  installs nothing; says what is missing, and what would install it: status 1 then
#
# smoke: only what `make smoke` needs; demo: what the demonstration needs; deb, build: what `make deb` and `make` need. A package stands here with a command, or a file, by
# which its presence is known. nginx and the other servers are installed without being started. Nothing is added to apt's
# sources, and nothing that is there is upgraded.
set -eu

PATH=$PATH:/usr/sbin:/sbin
go=${GO:-go}
go_wanted=25 # the minor of Go 1.x that go.mod asks for

check=no
if [ "${1-}" = --check ]; then
    check=yes
    shift
fi
what=${1-all}

say() { echo "setup: $*" >&2; }

for_build() {
    cat <<'LIST'
gcc            cc
libc6-dev      /usr/include/stdio.h
make           make
LIST
}

for_deb() {
    for_build
    cat <<'LIST'
debhelper      dh
dpkg-dev       dpkg-buildpackage
mandoc         mandoc
git            git
LIST
}

for_cross() {
    cat <<'LIST'
gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
libc6-dev-arm64-cross /usr/aarch64-linux-gnu/include/stdio.h
LIST
}

for_demo() {
    for_build
    cat <<'LIST'
iproute2       ip
ethtool        ethtool
util-linux     unshare
nginx-light    nginx
dnsmasq-base   dnsmasq
curl           curl
ca-certificates /etc/ssl/certs/ca-certificates.crt
LIST
}

for_smoke() {
    for_demo
    cat <<'LIST'
wget           wget
python3        python3
openssl        openssl
git            git
LIST
}

needs() {
    case $what in
    build) for_build; return ;;
    demo) for_demo; return ;;
    deb)
        for_deb
        [ "$(dpkg --print-architecture)" != amd64 ] || for_cross
        return
        ;;
    smoke) for_smoke; return ;;
    esac
    for_smoke
    cat <<'LIST'
cppcheck       cppcheck
mmdebstrap     mmdebstrap
debhelper      dh
dpkg-dev       dpkg-buildpackage
shellcheck     shellcheck
mandoc         mandoc
nftables       nft
apache2-bin    apache2
lighttpd       lighttpd
dbus-daemon    dbus-daemon
unbound        unbound
tinyproxy-bin  tinyproxy
squid          squid
aria2          aria2c
libcurl4-openssl-dev curl-config
ffmpeg         ffmpeg
lftp           lftp
icecast2       icecast2
vsftpd         vsftpd
mptcpize       mptcpize
busybox        busybox
tcl            tclsh
tcl-tls        /usr/share/doc/tcl-tls/copyright
libssl-dev     /usr/include/openssl/ssl.h
libnss3-tools  tstclnt
pkg-config     pkg-config
valgrind       valgrind
python3-pip    /usr/lib/python3/dist-packages/pip
python3-prometheus-client /usr/lib/python3/dist-packages/prometheus_client
python3-gi     /usr/lib/python3/dist-packages/gi
gir1.2-soup-3.0 /usr/share/doc/gir1.2-soup-3.0/copyright
glib-networking /usr/share/doc/glib-networking/copyright
liblwp-protocol-https-perl /usr/share/perl5/LWP/Protocol/https.pm
nodejs         node
apt            /usr/lib/apt/methods/http
apt-utils      apt-ftparchive
dpkg           dpkg-deb
LIST
}

present() {
    case $1 in
        /*) [ -e "$1" ] ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing_packages() {
    needs | while read -r package sign; do
        present "$sign" || echo "$package"
    done
}

# The version of the go command itself, not of a toolchain that it would fetch for go.mod.
go_minor() {
    (cd / && GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null) | sed -n 's/^go1\.\([0-9]*\).*/\1/p'
}

# From Go 1.21 on, go fetches the toolchain that go.mod asks for by itself.
go_suffices() {
    minor=$(go_minor)
    [ -n "$minor" ] || return 1
    [ "$minor" -ge "$go_wanted" ] && return 0
    [ "$minor" -ge 21 ] && [ "$(cd / && "$go" env GOTOOLCHAIN)" != local ]
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        say "this needs root, and there is no sudo; let root run, in this folder: sh e2e/setup.sh $what"
        exit 1
    fi
}

# A policy-rc.d that answers 101 keeps packages from starting their services. One that is there already is left alone.
install_quietly() {
    policy=/usr/sbin/policy-rc.d
    ours=no
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
        ours=yes
    fi
    status=0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2 || status=$?
    [ $ours = no ] || as_root rm -f $policy
    return $status
}

# The minor of the Go 1.x that apt would install.
candidate() {
    minor=$(apt-cache policy golang-go | sed -n 's/^ *Candidate: *[0-9]*:1\.\([0-9]*\).*/\1/p')
    echo "${minor:-0}"
}

# A release's own Go may be too old even to fetch a newer one; then that of its backports is taken, with lists of packages that
# are read for this once.
install_go() {
    # shellcheck source=/dev/null
    . /etc/os-release
    say "installing Go"
    [ "$(candidate)" -lt 21 ] || install_quietly golang-go || true
    go_suffices && return 0
    folder=$(mktemp -d)
    mkdir -p "$folder/lists/partial"
    for suite in "${VERSION_CODENAME:-stable}" "${VERSION_CODENAME:-stable}-backports"; do
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main"
    done >"$folder/sources"
    chmod -R a+rX "$folder"
    once="-o Dir::Etc::sourcelist=$folder/sources -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$folder/lists"
    # shellcheck disable=SC2086 # one option a word
    if as_root apt-get $once update >&2; then
        install_quietly $once -t "${VERSION_CODENAME:-stable}-backports" golang-go || true
    fi
    as_root rm -rf "$folder"
    go_suffices && return 0
    go_is_missing
    return 1
}

go_is_missing() {
    say "missing: Go 1.$go_wanted or later, or 1.21 or later with GOTOOLCHAIN=auto. From https://go.dev/dl/: put its bin folder into PATH"
}

missing=$(missing_packages | tr "\n" " ")
if [ -z "$missing" ] && go_suffices; then
    exit 0
fi
if [ $check = yes ]; then
    prefix=
    [ "$(id -u)" = 0 ] || prefix='sudo '
    [ -z "$missing" ] || say "missing: $missing; on Debian: ${prefix}apt-get install $missing"
    go_suffices || go_is_missing
    say "or let it be installed: sh e2e/setup.sh $what"
    exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
    say "this is no Debian machine; install by its own means: $missing and Go 1.$go_wanted or later"
    exit 1
fi
say "installing: ${missing:-Go}"
as_root apt-get update >&2
# shellcheck disable=SC2086 # one package a word
[ -z "$missing" ] || install_quietly $missing
go_suffices || install_go
missing=$(missing_packages | tr "\n" " ")
if [ -n "$missing" ]; then
    say "still missing after the installation: $missing"
    exit 1
fi
