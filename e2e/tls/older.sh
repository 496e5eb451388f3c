#!/bin/sh
# Unpacks curl and Python of Debian 11 with their OpenSSL 1.1 into build/openssl-1.1, without installing them: no later
# release has that library. apt fetches them with lists of its own, so that the machine's sources stay as they are. Where
# that fails, the tests with OpenSSL 1.1 are skipped.
set -eu
cd "$(dirname "$0")/../.."

to=build/openssl-1.1
packages='libssl1.1 curl libcurl4 libldap-2.4-2 python3.9-minimal libpython3.9-minimal libpython3.9-stdlib'

skip() {
    echo "openssl 1.1: $1; its tests will be skipped" >&2
    exit 0
}

[ ! -e $to/complete ] || exit 0
command -v apt-get >/dev/null 2>&1 || skip "this is no Debian machine"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e $keys ] || skip "there is no keyring of Debian's ($keys)"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/debs"
: >"$folder/status"
echo "deb [signed-by=$keys] http://deb.debian.org/debian bullseye main" >"$folder/sources"

apt() {
    (cd "$folder/debs" && apt-get -qq -o Dir::Etc::sourcelist="$folder/sources" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$folder/lists" -o Dir::State::status="$folder/status" -o Dir::Cache="$folder/cache" \
        -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=2 "$@" >/dev/null 2>&1)
}

# shellcheck disable=SC2086 # one package a word
if ! { apt update && apt download $packages; }; then
    skip "Debian 11's packages cannot be downloaded"
fi
rm -rf $to
mkdir -p $to
for package in "$folder"/debs/*.deb; do
    dpkg -x "$package" $to
done
touch $to/complete
