/*
 * flow.h: the octets of a twin that pass to the core, and from it, by a pair of sockets: many at a time, with nobody looking at them. All
 * with twin_begin_work.
 */
#ifndef MIDSTREAM_FLOW_H
#define MIDSTREAM_FLOW_H

#include <poll.h>

#include "tls/twin.h"

/* From now on, by this descriptor, which is taken over. Nothing has been asked yet. */
void flow_begin(struct twin *w, int fd);

/*
 * No more: the program's session takes what comes next. False: octets are on their way to the core, or the connection has ended; it goes
 * on as it was then.
 */
bool flow_end(struct twin *w);

/* All that can be passed without waiting; returns how many octets have come from the peer. */
size_t flow_serve(struct twin *w);

/* What there is to be waited for: at most two. Returns how many. */
nfds_t flow_waits(const struct twin *w, struct pollfd *wait);

#endif
