/*
 * use.h: the interface that new connections are to take, as ordered by `midstreamctl use`.
 *
 * The order for all processes is a link called "use" in the runtime folder (process/runtime.h), whose text is the
 * interface's name. An order for this process alone comes through ms_shared.use_index.
 */
#ifndef MIDSTREAM_USE_H
#define MIDSTREAM_USE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "../../cgo/abi.h"

/*
 * Binds a TCP socket that is about to be connected to the interface in use. Does nothing if the address is this host's or
 * one on a network it is directly attached to, or if the interface cannot reach it. errno is kept. Not for a socket that
 * the program has bound.
 */
void use_bind(int fd, const struct sockaddr *address, socklen_t length);

/* A name server, by its port: look-ups are left to the program, and to the network that the server is on. AF_INET or AF_INET6. */
bool use_is_lookup(const struct sockaddr *address);

/* Addresses that are the same whatever the interface. AF_INET or AF_INET6. */
bool use_is_local(const struct sockaddr *address);

/*
 * The interface manager's order, best first: of the manager in this process (ms_shared.order), or of midstreamd, which
 * keeps it as the text of a symbolic link called "order" next to "use".
 */
struct use_order {
    unsigned count; /* of known indices; 0: names */
    uint32_t index[MS_ORDER]; /* with MS_ORDER_COSTS */
    char names[512];          /* divided by blanks; a colon before one that costs more */
};

#define USE_UNRANKED 1000U /* the manager has not told of the interface */

void use_read_order(struct use_order *order);

/* *costs: the manager says that octets cost more there than elsewhere. */
unsigned use_rank(const struct use_order *order, const char *name, uint32_t index, bool *costs);

#endif
