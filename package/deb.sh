#!/bin/sh
# deb.sh ARCHITECTURE…: makes Debian packages in build/packages, of the checkout as it stands: from a copy, so that build/ stays.
# With QUICK=yes for a test: of the objects that make has left, with no package of debug symbols, and little compressed.
# For another architecture than this machine's, by the cross compiler of Debian (crossbuild-essential-arm64, or gcc-aarch64-linux-gnu).
set -eu
cd "$(dirname "$0")/.."
. e2e/roots.sh
go=${GO:-go}
version=$(cat VERSION)
grep -q "^midstream ($version)" debian/changelog || { echo "deb: debian/changelog is not of version $version" >&2; exit 1; }
mkdir -p build/packages
for architecture; do
    copy=build/packages/$architecture/midstream-$version
    rm -rf "build/packages/$architecture"
    mkdir -p "$copy"
    copy_checkout "$copy"
    if [ "${QUICK-}" = yes ]; then
        mkdir "$copy/build"
        cp -a build/shim "$copy/build/"
        export DEB_BUILD_OPTIONS=noautodbgsym DPKG_DEB_COMPRESSOR_TYPE=gzip DPKG_DEB_COMPRESSOR_LEVEL=1
    fi
    # -d: Go may be one that apt does not know of.
    (cd "$copy" && PATH="$(dirname "$(command -v "$go")"):$PATH" GO=$go dpkg-buildpackage -b -uc -us -nc -d -a "$architecture") >"build/packages/$architecture.log" 2>&1 || {
        tail -n 30 "build/packages/$architecture.log" >&2
        echo "deb: see build/packages/$architecture.log" >&2
        exit 1
    }
    mv "build/packages/$architecture"/*.deb build/packages/
    rm -rf "build/packages/$architecture"
done
ls build/packages/*.deb
