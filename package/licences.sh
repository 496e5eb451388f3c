#!/bin/sh
# licences.sh OUTPUT: the licences of what is linked into the binaries: Go and its modules.
set -eu
output=$1
go=${GO:-go}
# With cgo, whatever is built for: where a cross compiler is asked for, go would leave it out, and with it the core.
CGO_ENABLED=1 "$go" list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}} {{.Dir}}{{end}}{{end}}' ./ctl/... ./cgo >"$output.modules"
{
    echo "Midstream's binaries contain the Go runtime and library, and these modules, under the licences below."
    {
        printf '%s %s\n' "Go's runtime and library" "$("$go" env GOROOT)"
        sort -u "$output.modules"
    } | while read -r line; do
        folder=${line##* }
        printf '\n======== %s\n\n' "${line% *}"
        found=no
        for file in "$folder"/LICENSE* "$folder"/COPYING* "$folder"/NOTICE*; do
            [ ! -f "$file" ] || { cat "$file"; found=yes; }
        done
        [ $found = yes ] || { echo "licences: $folder has no licence" >&2; exit 1; }
    done
} >"$output.new"
[ "$(grep -c "^======== " "$output.new")" -gt 1 ] || { echo "licences: there are no modules" >&2; exit 1; }
rm "$output.modules"
mv "$output.new" "$output"
