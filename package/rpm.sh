#!/bin/sh
# rpm.sh: makes an RPM and a tarball of what `make install` installs, in build/packages: from the same list as the Debian package. The
# tarball runs where it is unpacked. The RPM is written by nfpm, which go fetches and builds for this once.
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}
version=$(cat VERSION)
machine=$(uname -m)
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
stage=build/packages/stage
rm -rf "$stage"
PREFIX=/usr DESTDIR=$PWD/$stage/rpm ZSH=share/zsh/site-functions sh package/install.sh install
PREFIX=/usr/local DESTDIR=$PWD/$stage/tar sh package/install.sh install

mv "$stage/tar/usr/local" "$stage/midstream-$version"
tar -C "$stage" --owner=0 --group=0 -czf "build/packages/midstream-$version-linux-$machine.tar.gz" "midstream-$version"

# As the Debian package does when it goes, but not when it is upgraded.
# shellcheck disable=SC2016 # $1 is for the script
sed -e 's/"[$]1" = remove/"$1" = 0/' -e '/#DEBHELPER#/d' debian/midstream.prerm >"$stage/preun"
grep -qF '= 0 ]' "$stage/preun"

cat >"$stage/nfpm.yaml" <<CONF
name: midstream
arch: $("$go" env GOARCH)
version: $version
maintainer: The Midstream Maintainers <maintainers@midstream.invalid>
license: not chosen
section: net
description: |
  Move running downloads to another network.
  Midstream is put in front of an unmodified program, whose HTTP downloads can then be continued over another
  network interface, in the middle of the file.
depends: [glibc]
recommends: [ca-certificates, iproute]
contents:
  - src: $stage/rpm/usr
    dst: /usr
    type: tree
scripts:
  preremove: $stage/preun
CONF
"$go" run "$nfpm" package --config "$stage/nfpm.yaml" --packager rpm --target build/packages
rm -rf "$stage"
ls build/packages/*.rpm build/packages/*.tar.gz
