#!/bin/sh
# install.sh install|uninstall|list: carries package/files out.
#
#     PREFIX    where; relative to the present folder or, with DESTDIR, to the root; ~/ is understood. Default /usr/local
#     DESTDIR   put in front, for packages; the files themselves know nothing of it
#     LIBDIR    of the libraries, below PREFIX. What was built looks for them there: `make` has to have the same
#     ZSH       of zsh's completions, below PREFIX
set -eu
cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-lib/midstream}
# shellcheck disable=SC2088 # it is the character that is looked for
case $prefix in
"~") prefix=$HOME ;;
"~/"*) prefix=$HOME/${prefix#??} ;;
esac
case $prefix in
/*) ;;
*) if [ -n "${DESTDIR-}" ]; then prefix=/$prefix; else prefix=$PWD/$prefix; fi ;;
esac
prefix=$(printf '%s\n' "$prefix" | sed -e 's|//*|/|g' -e 's|/\./|/|g' -e 's|\(.\)/$|\1|')
case $prefix in
*[[:blank:]:]*)
    echo "install: $prefix: the libraries could not be preloaded from a path with a blank or a colon; take another PREFIX" >&2
    exit 2
    ;;
esac

# Where systemd looks: systemd.unit(5), "System Unit Search Path", "User Unit Search Path".
units=lib/systemd
host=lib/systemd/system
if [ "$prefix" = "$HOME/.local" ] && [ "$prefix" != /usr/local ]; then
    units=share/systemd
    host= # the host's is not a user's to install
fi

each() {
    while read -r mode source target; do
        case $mode in
        '' | '#'*) continue ;;
        esac
        case $target in
        LIBDIR/*) target=$libdir/${target#*/} ;;
        UNITS/*) target=$units/${target#*/} ;;
        HOST/*)
            [ -n "$host" ] || continue
            target=$host/${target#*/}
            ;;
        NETWORKMANAGER/*)
            # It looks in no other place, but for /etc: NetworkManager-dispatcher(8).
            [ "$prefix" = /usr ] || continue
            target=lib/NetworkManager/dispatcher.d/${target#*/}
            ;;
        ZSH/*) target=${ZSH:-share/zsh/site-functions}/${target#*/} ;;
        DOC/*) target=share/doc/midstream/${target#*/} ;;
        esac
        "$1" "$mode" "$source" "${DESTDIR-}${prefix%/}/$target"
    done <package/files
}

put() {
    [ -e "$2" ] || { echo "install: $2 is missing: make builds it" >&2; exit 1; }
    mkdir -p "$(dirname "$3")"
    case $2 in
    *.service) sed "s|@PREFIX@|${prefix%/}|" "$2" >"$3.new" ;;
    *) cp "$2" "$3.new" ;;
    esac
    chmod "$1" "$3.new"
    # In one step: what is in use, as a library in a process is, must not be written into.
    mv -f "$3.new" "$3"
}

remove() {
    rm -f "$3"
    folder=$(dirname "$3")
    # Folders that are Midstream's own, as far as they are empty.
    while case $folder in */midstream | */midstream/*) true ;; *) false ;; esac; do
        rmdir "$folder" 2>/dev/null || break
        folder=$(dirname "$folder")
    done
}

show() { printf '%s %s %s\n' "$1" "$2" "$3"; }

case ${1-} in
install)
    each put
    case $prefix in
    /usr | /usr/local | "$HOME/.local") ;;
    *) [ -n "${DESTDIR-}" ] || echo "install: systemd does not look for units in $prefix: systemctl --user enable $prefix/$units/user/midstreamd.service" >&2 ;;
    esac
    ;;
uninstall) each remove ;;
list) each show ;;
*)
    echo "usage: package/install.sh install|uninstall|list" >&2
    exit 2
    ;;
esac
