#!/bin/sh
# networks.sh: what the packages' tests share. It is sourced.

# await COMMAND…: repeats it until it is true, for half a minute; fail is of whoever sources this. It is the last that is heard of it.
await() {
    tries=300
    until "$@" >/tmp/out 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { cat /tmp/out >&2; fail "$* does not come true"; }
        sleep 0.1
    done
}

# raise: two networks, wlan0 and wwan0, that lead to one far host, in which nginx may serve both: 10.77.1.80 and 10.77.2.80. In network and
# process namespaces of the caller's own; far is the process whose network namespace the far host is.
raise() {
    ip link set lo up
    unshare --net sleep 600 &
    far=$!
    until [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/$$/ns/net)" ]; do
        kill -0 $far || return 1
        sleep 0.01
    done
    for n in 1 2; do
        name=$(echo "wlan0 wwan0" | cut -d ' ' -f $n)
        ip link add "$name" type veth peer name far$n
        ip link set far$n netns $far
        ip address add 10.77.$n.2/24 dev "$name"
        ip link set "$name" up
        nsenter -t $far -n sh -c "ip link set lo up; ip address add 10.77.$n.80/24 dev far$n; ip link set far$n up"
        ip route add default via 10.77.$n.80 dev "$name" metric ${n}00
    done
}
