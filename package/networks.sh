#!/bin/sh
# networks.sh: two networks, wlan0 and wwan0, that lead to one far host, in which nginx may serve both: 10.77.1.80 and 10.77.2.80. It is
# sourced by the packages' tests, in network and process namespaces of their own; far is the process whose network namespace the far host is.
ip link set lo up
unshare --net sleep 600 &
far=$!
until [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/$$/ns/net)" ]; do
    kill -0 $far || exit 1
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
