#!/bin/sh
# test-units.sh: services of a real systemd, in the root folder and the networks of test-within.sh: they are put under Midstream and taken
# back, however they are confined, and so are all of a user's, by a real systemd --user. The systemd is one of its own, the first process of its namespaces, with nothing but these services.
# Exit status 3: no systemd can run here.
# shellcheck disable=SC2016,SC2317 # $1, and the variables of systemd, are for others; functions are called by await
set -eu

if [ "${1-}" != within ]; then
    rm -f /tmp/units.log /tmp/units.status
    mkdir -p /etc/systemd/system
    printf '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sh -eu /tmp/test-units.sh within\nExecStopPost=/bin/sh -c "echo $EXIT_STATUS >/tmp/units.status; systemctl --no-block exit"\nStandardOutput=append:/tmp/units.log\nStandardError=append:/tmp/units.log\n' \
        >/etc/systemd/system/test-units.service
    unshare --mount --pid --uts --ipc --cgroup --fork --kill-child --propagation private sh -ec '
        mount -t proc proc /proc
        mount --bind /proc/sys /proc/sys
        mount -o remount,bind,ro /proc/sys
        mount -t tmpfs tmpfs /run
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        # Nothing of what a whole host is started with, nor another /tmp, as Debian 13 has it for what asks for one.
        mkdir -p /run/systemd/system
        ln -s /dev/null /run/systemd/system/tmp.mount
        for folder in /usr/lib/systemd/system/*.target.wants /etc/systemd/system/*.target.wants; do
            [ ! -d "$folder" ] || mount -t tmpfs tmpfs "$folder"
        done
        exec env container=test /lib/systemd/systemd --unit=test-units.service --log-target=null --show-status=no' >/tmp/units.systemd 2>&1 || :
    rm /etc/systemd/system/test-units.service
    if [ ! -e /tmp/units.status ]; then
        cat /tmp/units.systemd
        [ ! -e /tmp/units.log ] || { cat /tmp/units.log; exit 1; }
        exit 3
    fi
    cat /tmp/units.log
    [ "$(cat /tmp/units.status)" = 0 ]
    exit
fi

fail() { echo "FAILED: $*" >&2; systemctl status fetch midstreamd-host 2>&1 || :; exit 1; }
# shellcheck source=package/networks.sh
. /tmp/networks.sh
runs() { midstreamctl sessions | grep -q 'short.mkv' && [ "$(stat -c %s /var/lib/fetch/got 2>/dev/null || echo 0)" -gt 1000000 ]; }
ended() { [ "$(systemctl show fetch -p ActiveState --value)" != active ] && [ "$(systemctl show fetch -p ActiveState --value)" != activating ]; }
intact() {
    await ended
    [ "$(systemctl show fetch -p Result --value)" = success ] || fail "it ended with $(systemctl show fetch -p Result --value)"
    cmp /var/lib/fetch/got /tmp/www/short.mkv || fail "the file differs"
}

# The service notes what it is told of its folders. What a host's is started with, this systemd does not have.
service() {
    printf '[Unit]\nDefaultDependencies=no\n[Service]\nStateDirectory=fetch\nExecStart=/bin/sh -c "echo $RUNTIME_DIRECTORY >/var/lib/fetch/saw; exec curl -sS -o /var/lib/fetch/got http://download.test/short.mkv"\n'
    printf '%s\n' "$@"
}
for confined in "" "PrivateTmp=yes RuntimeDirectory=fetch RestrictAddressFamilies=AF_INET~AF_INET6" "DynamicUser=yes ProtectHome=yes" "ProtectSystem=strict SystemCallFilter=@system-service NoNewPrivileges=yes"; do
    # shellcheck disable=SC2046,SC2086 # one line a word; ~ is a blank of its own
    service $(printf '%s\n' $confined | tr '~' '\037') | tr '\037' ' ' >/etc/systemd/system/fetch.service
    systemctl daemon-reload
    midstreamctl enable fetch >/tmp/said || fail "$confined: $(cat /tmp/said)"
    cp /etc/systemd/system/fetch.service.d/60-midstream.conf /tmp/first
    midstreamctl enable fetch >/tmp/said || fail "$confined: $(cat /tmp/said)"
    cmp /tmp/first /etc/systemd/system/fetch.service.d/60-midstream.conf || fail "$confined: enabled again, it is another one"
    systemctl start --no-block fetch
    await runs
    midstreamctl status fetch >/tmp/said || fail "$confined: $(cat /tmp/said)"
    grep -q 'is under Midstream' /tmp/said || fail "$confined: $(cat /tmp/said)"
    midstreamctl migrate wwan0 >/tmp/said 2>&1 || fail "$confined: $(cat /tmp/said)"
    intact
    case $confined in
    *RuntimeDirectory*) [ "$(cat /var/lib/fetch/saw)" = /run/fetch ] || fail "RUNTIME_DIRECTORY is $(cat /var/lib/fetch/saw)" ;;
    esac
    midstreamctl disable fetch >/tmp/said || fail "$confined: $(cat /tmp/said)"
    [ ! -e /etc/systemd/system/fetch.service.d ] || fail "$confined: something is left"
    [ "$(systemctl show fetch -p Environment --value)" = "" ] || fail "$confined: it would be under Midstream still"
    rm -rf /var/lib/fetch /var/lib/private/fetch
done

# The host's daemon as its unit has it, which processes find, and which ends when it is told to. What users download it may not count, and says so;
# with the lines of midstreamd(8) it does.
mkdir -p /etc/midstream /run/systemd/system/midstreamd-host.service.d
printf '[metrics]\nlisten = "unix:/run/midstream/metrics"\n' >/etc/midstream/config.toml
printf '[Unit]\nDefaultDependencies=no\n[Service]\nEnvironment=MIDSTREAM_LOG=warn MIDSTREAM_LOG_FILE=/run/midstream/log\n' >/run/systemd/system/midstreamd-host.service.d/plain.conf
systemctl daemon-reload
systemctl start midstreamd-host || fail "midstreamd-host does not start"
await grep -q 'midstreamd(8) has the lines' /run/midstream/log
midstreamctl interfaces | grep -q wwan0 || fail "$(midstreamctl interfaces)"
systemctl stop midstreamd-host || fail "midstreamd-host does not stop"
[ "$(systemctl show midstreamd-host -p Result --value)" = success ] || fail "midstreamd-host has failed"
printf '[Service]\nProtectHome=no\nPrivateTmp=no\nCapabilityBoundingSet=CAP_DAC_OVERRIDE\n' >/run/systemd/system/midstreamd-host.service.d/open.conf
service DynamicUser=yes >/etc/systemd/system/fetch.service
systemctl daemon-reload
midstreamctl enable fetch >/tmp/said || fail "$(cat /tmp/said)"
systemctl start midstreamd-host || fail "midstreamd-host does not start with the lines of its manual page"
systemctl start --no-block fetch
counted() { curl -s --unix-socket /run/midstream/metrics http://localhost/metrics | grep -q 'midstream_sessions{state="active"} 1'; }
await counted
intact
midstreamctl disable fetch >/tmp/said || fail "$(cat /tmp/said)"
systemctl stop midstreamd-host
rm -rf /var/lib/fetch /var/lib/private/fetch /etc/midstream
rm -rf /etc/systemd/system/fetch.service

# All programs of a user's: of her own systemd, started as user@.service starts it at a login, which reads environment.d(5).
cp /etc/passwd /tmp/passwd
echo 'ada:x:1000:1000::/home/ada:/bin/sh' >>/etc/passwd
mkdir -p /home/ada/.config/systemd/user /run/user/1000
printf '[Service]\nExecStart=/usr/bin/curl -sS -o %%h/got http://download.test/short.mkv\n' >/home/ada/.config/systemd/user/fetch.service
chown -R 1000:1000 /home/ada /run/user/1000
chmod 700 /run/user/1000
printf '[Unit]\nDefaultDependencies=no\n[Service]\nUser=ada\nType=notify\nDelegate=yes\nEnvironment=XDG_RUNTIME_DIR=/run/user/1000\nExecStart=/lib/systemd/systemd --user --unit=basic.target\n' \
    >/run/systemd/system/login.service
systemctl daemon-reload
ada() { runuser -u ada -- env HOME=/home/ada XDG_RUNTIME_DIR=/run/user/1000 "$@"; }
hers() { ada midstreamctl sessions | grep -q 'short.mkv' && [ "$(stat -c %s /home/ada/got 2>/dev/null || echo 0)" -gt 1000000 ]; }
gone() { [ "$(ada systemctl --user show fetch -p ActiveState --value)" = inactive ]; }
ada midstreamctl enable --user-session >/tmp/said || fail "$(cat /tmp/said)"
ada midstreamctl status --user-session | grep -q 'sessions of this user: enabled' || fail "a session is not enabled"
systemctl start login || fail "no systemd --user starts"
ada systemctl --user start fetch
await hers
ada midstreamctl migrate wwan0 >/tmp/said 2>&1 || fail "of a user's session: $(cat /tmp/said)"
await gone
cmp /home/ada/got /tmp/www/short.mkv || fail "the file differs"
ada midstreamctl disable --user-session >/tmp/said || fail "$(cat /tmp/said)"
systemctl restart login
ada systemctl --user show-environment >/tmp/said || fail "no systemd --user starts again"
! grep LD_PRELOAD /tmp/said || fail "the next login would be under Midstream still"
systemctl stop login
rm -rf /home/ada /run/user/1000
mv /tmp/passwd /etc/passwd
exit 0
