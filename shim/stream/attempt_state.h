/*
 * attempt_state.h: where the making of a connection stands, and a TLS handshake of which nothing has been answered.
 *
 * It is changed by the call that begins it, and from then on by whoever takes its turn (wait/attempt.c): only with the gate closed and
 * nobody inside. `state`, `due` and `flight` are looked at by anybody; a call inside the gate that meets an answer ends it.
 */
#ifndef MIDSTREAM_ATTEMPT_STATE_H
#define MIDSTREAM_ATTEMPT_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum stream_attempt {
    ATTEMPT_NONE,  /* made, or not followed */
    ATTEMPT_FIRST, /* the program's own is under way */
    ATTEMPT_OTHER, /* one over another interface is behind the descriptor; the kept one is the program's own */
    ATTEMPT_GREETED,       /* it is made, and a ClientHello has been sent on it, of whose answer nothing has been read */
    ATTEMPT_GREETED_OTHER, /* one over another interface is behind the descriptor, on which it is, or is to be sent */
};

/* Interfaces that one is tried over at most, besides the one the kernel chooses. */
#define FALLBACK_ROUTES 4

struct attempt {
    _Atomic uint32_t state;           /* enum stream_attempt */
    _Atomic int64_t due;              /* by the coarse clock: when it is to be looked at */
    int64_t since;                    /* likewise: when it was begun */
    int64_t limit;                    /* ns for each other route */
    uint32_t own_interface;           /* the interface it went over first; 0 not yet looked for */
    uint32_t routes[FALLBACK_ROUTES]; /* interfaces to try */
    uint8_t route_servers[FALLBACK_ROUTES]; /* to which server each (wait/flight.h) */
    uint8_t route_count, route_next;
    _Atomic uint8_t flight;           /* one more than the number of the first flight that is kept (wait/flight.c), 0 none */
    bool flight_sent;                 /* on the socket that is behind the descriptor */
};

#endif
