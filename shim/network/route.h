/*
 * route.h: what the kernel says of the way to an address, by rtnetlink(7): it goes by ip-rule(8), this user's ID among the
 * rules, and by VRFs. Without the C library's buffers.
 */
#ifndef MIDSTREAM_ROUTE_H
#define MIDSTREAM_ROUTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct route {
    uint32_t index; /* of the interface; 0 where several share the route */
    uint32_t metric, table;
    bool through;   /* over a router, or over a link that leads everywhere */
};

/* A socket for the questions, -1 where there is none. */
int route_open(void);
void route_close(int netlink);

/* The route that a connection takes, if its socket is bound to the interface `over`, 0 for none. False where none leads there. */
bool route_find(int netlink, const struct sockaddr *to, uint32_t over, struct route *route);

/* Unlike SIOCGIFFLAGS, which may tell of a lost carrier a second later. */
bool route_has_carrier(int netlink, uint32_t index);

/*
 * Whether a connection over the interface would go past a tunnel, or past the kernel's rules for this program or its VRF, and the
 * configuration does not allow it: policy.leave_tunnel, policy.prefer. As core/controller/allowed.go has it. `own`: the
 * interface that the connection took or would take, 0 where that is not known.
 */
bool route_is_barred(int netlink, const struct sockaddr *to, uint32_t own, uint32_t over);

#endif
