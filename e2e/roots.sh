#!/bin/sh
# roots.sh: what the scripts share that work in root folders of other Debians. It is sourced, with the checkout as the present folder.

# fill_root ROOT CODENAME [OPTION…]: has mmdebstrap, with these options, fill ROOT from the machine's own source of packages, wherever
# that is. ROOT.log says what went wrong, of which the end is shown.
fill_root() {
    fill_to=$1
    fill_release=$2
    shift 2
    command -v mmdebstrap >/dev/null 2>&1 || { apt-get update && apt-get install -y --no-install-recommends mmdebstrap; } >&2 || return 1
    echo "filling $fill_to; this takes half a minute" >&2
    rm -rf "$fill_to"
    mkdir -p "$(dirname "$fill_to")" || return 1
    # shellcheck disable=SC2016 # it is for apt
    fill_from=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1)
    mmdebstrap --variant=apt --dpkgopt=force-unsafe-io --aptopt='APT::Install-Recommends "false"' "$@" "$fill_release" "$fill_to" \
        "${fill_from:-http://deb.debian.org/debian}" >"$fill_to.log" 2>&1 || {
        tail -n 20 "$fill_to.log" >&2
        return 1
    }
    cp /etc/apt/apt.conf.d/* "$fill_to/etc/apt/apt.conf.d/" 2>/dev/null || true
}

# clean_root CODENAME: a clean Debian of that release with the little that tests need before anything is installed, in $clean, which is
# filled once, whoever else asks for it at the same time. Of pages and documentation it has nothing, as containers' roots.
clean_root() {
    clean=$PWD/build/roots/$1
    mkdir -p build/roots
    (
        flock 9
        [ ! -e "$clean.complete" ] || exit 0
        fill_root "$clean" "$1" --include=nginx-light,curl,iproute2,ca-certificates,systemd --dpkgopt=path-exclude=/usr/share/man/* \
            --dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-exclude=/usr/share/locale/* || exit 3
        # No service is started there: invoke-rc.d(8).
        printf '#!/bin/sh\nexit 101\n' >"$clean/usr/sbin/policy-rc.d"
        chmod 755 "$clean/usr/sbin/policy-rc.d"
        touch "$clean.complete"
    ) 9>"$clean.lock"
}

# copy_checkout FOLDER: what git knows of the checkout, as it stands.
copy_checkout() {
    # shellcheck disable=SC2016 # it is for a shell within
    git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh |
        tar -c --null -T - | tar -x -C "$1"
}
