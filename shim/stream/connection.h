/*
 * connection.h: a connection of a stream's, of which it has up to three: the present one, behind the program's descriptor; a former one
 * that is kept for an MS_GIVE_UP; and the next one, which a hand-over is to put in the place of the present one.
 *
 * What is known of the present one is changed by the reader inside a call on the descriptor, and by the agent while nobody is inside.
 */
#ifndef MIDSTREAM_CONNECTION_H
#define MIDSTREAM_CONNECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "framing/framing.h"

struct twin;

struct connection {
    int fd;                /* Midstream's own descriptor of it, -1 none: of the present one, during a hand-over only */
    struct twin *twin;     /* of the next one: the TLS session on it, NULL none */
    uint64_t inode;        /* of the socket, by which it is known that nobody has put something else there past the hooks */
    uint64_t seen;         /* octets that hooks saw leave it */
    uint64_t seen_base;    /* what TCP_INFO said had left it when that count began */
    int64_t end;           /* content offset up to which it is read, or MS_NO_STOP */
    _Atomic bool unchunks; /* it brings chunks that the program is not to see (unchunk.h) */
    struct framing chunks; /* where its next octet stands in those */
    bool relayed;          /* it is one end of a pair ... */
    bool fed;              /* ... that the core feeds: not only a place to wait in */
};

#endif
