#!/bin/sh
# test-within.sh: what test.sh does in a clean root folder, in namespaces of its own: everything that a person does with the package.
# shellcheck disable=SC2016 # $1 is for the shell within
set -eu
export DEBIAN_FRONTEND=noninteractive
# shellcheck source=package/networks.sh
. /tmp/networks.sh
deb=$(ls /tmp/midstream_*.deb)
fail() { echo "FAILED: $*" >&2; exit 1; }
say() { echo "  $*"; }
all() { find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run -o -path /etc/hosts -o -path /var/lib/nginx -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg \) -prune -o -print | sort; }
quietly() { "$@" >/tmp/out 2>&1 || { cat /tmp/out >&2; fail "$*"; }; }

all >/tmp/before
quietly apt-get install -y --no-install-recommends "$deb"
dpkg -s midstream | grep -q '^Status: install ok installed' || fail "it is not installed"
say "installed"

# Everything is where it is looked for.
midstream --version >/tmp/versions || fail "the versions do not match: $(cat /tmp/versions)"
[ "$(wc -l </tmp/versions)" = 4 ] || fail "$(cat /tmp/versions)"
for page in midstream.1 midstreamctl.1 midstreamd.8 midstream.toml.5 midstream.7; do
    # Clean root folders of containers leave pages and documentation out: dpkg.cfg(5), path-exclude.
    dpkg -L midstream | grep -q "/$page.gz\$" || fail "there is no $page"
done
bash -n /usr/share/bash-completion/completions/midstreamctl
midstreamctl config >/dev/null
midstreamctl doctor curl | grep -q 'can be moved' || fail "$(midstreamctl doctor curl)"
systemd-analyze --man=no verify /usr/lib/systemd/system/midstreamd-host.service 2>&1 | grep -v '/bin/kill is not executable' >/tmp/out || true # no procps here
[ ! -s /tmp/out ] || fail "$(cat /tmp/out)"
[ ! -e /etc/systemd/system/multi-user.target.wants/midstreamd-host.service ] || fail "a daemon was enabled unasked"
say "versions, pages, completions, units"

# Two networks, with a server that has the same file in both.
sysctl -qw net.ipv6.conf.all.disable_ipv6=1 2>/dev/null || true
raise
mkdir -p /tmp/www
head -c 24000000 /dev/urandom >/tmp/www/film.mkv
head -c 8000000 /tmp/www/film.mkv >/tmp/www/short.mkv
chmod -R a+rX /tmp/www
cat >/tmp/nginx.conf <<CONF
user root; pid /tmp/nginx.pid; error_log /tmp/nginx.log; events {}
http { access_log off; server { listen 80; root /tmp/www; limit_rate 2m; } }
CONF
nsenter -t $far -n nginx -c /tmp/nginx.conf
printf '10.77.1.80 download.test\n10.77.2.80 download.test\n' >>/etc/hosts
start() { midstream curl -sS -o /tmp/got http://download.test/film.mkv & program=$!; }
listed() { midstreamctl sessions | grep -q "film.mkv" && [ "$(stat -c %s /tmp/got 2>/dev/null || echo 0)" -gt 1000000 ]; }
intact() { wait $program || fail "curl ended with $?"; cmp /tmp/got /tmp/www/film.mkv || fail "the file differs"; rm -f /tmp/got; }

# What a person does who has been given the README: doctor, a download, top, a move, a cable that is pulled, a picture of it.
midstreamctl doctor >/tmp/doctor || fail "doctor: $(cat /tmp/doctor)"
grep -q 'between wlan0 and wwan0' /tmp/doctor || fail "doctor: $(cat /tmp/doctor)"
grep -q 'downloads of these can be moved: .*curl' /tmp/doctor || fail "doctor: $(cat /tmp/doctor)"
say "doctor has looked at the host"

start
await listed
midstreamctl top --plain >/tmp/words 2>&1 &
words=$!
midstreamctl record /tmp/run.jsonl --until-idle &
recorder=$!
await grep -q film.mkv /tmp/run.jsonl
await grep -q 'film.mkv by curl .* percent of 24.0 MB, .* over wlan0' /tmp/words
# In a terminal, too: what is drawn, until q.
mkfifo /tmp/keys
TERM=xterm script -qec 'stty rows 24 cols 80; midstreamctl top' /tmp/screen </tmp/keys >/dev/null 2>&1 &
terminal=$!
exec 3>/tmp/keys
await grep -q 'film.mkv' /tmp/screen
await grep -q 'h hold' /tmp/screen
printf q >&3
wait $terminal || fail "top ended with $?"
exec 3>&-
say "a download was seen in top, in words and in a terminal"

midstreamctl migrate wwan0 >/tmp/moved || fail "$(cat /tmp/moved)"
grep -q 'wlan0 10.77.1.80:80 *wwan0 10.77' /tmp/moved || fail "$(cat /tmp/moved)"
midstreamctl interfaces | grep -q wwan0
await grep -q 'over wwan0' /tmp/words
say "it was moved"

before=$(stat -c %s /tmp/got)
further() { [ "$(stat -c %s /tmp/got)" -gt $((before + 1000000)) ]; }
await further
nsenter -t $far -n ip link set far2 down
intact
nsenter -t $far -n ip link set far2 up
wait $recorder
kill $words
grep -q 'over wlan0, .*moved 2 times' /tmp/words || fail "top has not said that it came back: $(cat /tmp/words)"
say "it has outlived its network"

midstreamctl plot /tmp/run.jsonl -o /tmp/run.svg
midstreamctl plot /tmp/run.jsonl -o /tmp/run.png
for mark in 'wlan0 → wwan0' 'wwan0 → wlan0'; do
    grep -q "$mark" /tmp/run.svg || fail "$mark is not in the picture: $(grep -h event /tmp/run.jsonl) $(grep -o ">[^<]*<" /tmp/run.svg | tr "\n" " ")"
done
[ "$(head -c 4 /tmp/run.png | tail -c 3)" = PNG ] || fail "the other picture is none"
say "and there is a picture of all that"

# An upgrade amid a download, to a package that differs in its version only.
dpkg-deb -R "$deb" /tmp/next
sed -i 's/^Version: .*/&+1/' /tmp/next/DEBIAN/control
dpkg-deb -Zgzip -z1 -b /tmp/next /tmp/next.deb >/dev/null
start
await listed
quietly dpkg -i /tmp/next.deb
midstreamctl migrate wwan0 >/tmp/moved || fail "after the upgrade: $(cat /tmp/moved)"
intact
say "upgraded amid a download, which was moved after it"

# Services, of a real systemd where one can run.
status=0
sh -eu /tmp/test-units.sh || status=$?
case $status in
0) say "services were put under Midstream, moved, and taken back, however they are confined" ;;
3) say "SKIPPED: services, for no systemd can run here" ;;
*) fail "services" ;;
esac

# A service, by a daemon of the package, that is enabled, and taken back when the package goes.
printf '[Service]\nExecStart=/usr/bin/curl -sS http://download.test/film.mkv\n' >/etc/systemd/system/fetch.service
midstreamctl enable fetch >/dev/null
[ -s /etc/systemd/system/fetch.service.d/60-midstream.conf ] || fail "fetch was not enabled"
midstreamctl status fetch >/dev/null
quietly dpkg -r midstream
[ ! -e /etc/systemd/system/fetch.service.d ] || fail "fetch is left with a library that is gone"
rm /etc/systemd/system/fetch.service
quietly dpkg -P midstream
all >/tmp/after
diff /tmp/before /tmp/after >/tmp/differs || fail "left behind, or gone: $(cat /tmp/differs)"
say "removed and purged without a trace"

nsenter -t $far -n nginx -c /tmp/nginx.conf -s stop 2>/dev/null
kill $far
