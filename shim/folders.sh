#!/bin/sh
# folders.sh: no circle between the shim's folders. Each includes only its own files and those of the folders before it.
# What a folder needs of one behind it is declared in its own header, and defined there: above.h in process/, stream/ and wait/, stream/over.h.
cd "$(dirname "$0")" || exit 1
status=0
behind='process framing network stream ftp wait call tls twins finding libraries openssl handover hooks'
for folder in $behind; do
	behind=${behind#"$folder"}
	behind=${behind# }
	for other in $behind; do
		grep -n "^ *# *include \"$other/" "$folder"/*.[ch] && status=1
	done
done
[ $status = 0 ] || echo 'a folder of the shim includes what stands on it' >&2
exit $status
