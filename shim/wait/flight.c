/* flight.c: see flight.h. */
#include "flight.h"

#include <string.h>
#include <sys/socket.h>

#include "process/calls.h"
#include "framing/hello.h"
#include "stream/names.h"

/* Handshakes that are followed at once, and the longest hello: with tickets and keys of post-quantum groups they have some 2 kB. */
#define FLIGHTS 16
#define FLIGHT_MAX 4096

/*
 * A flight belongs to one stream, and may be read by threads beside the one that drops it: the record's descriptor may have been closed, and
 * used again, past the hooks. Whoever reads it holds it, and it is nobody else's before all have let it go: another handshake's octets
 * would be sent otherwise.
 */
#define TAKEN 1u
#define HELD 2u /* once for each who does */

static struct flight {
    _Atomic uint32_t state;
    uint32_t length;
    struct sockaddr_in6 others[FLIGHT_OTHERS];
    uint8_t octets[FLIGHT_MAX];
} flights[FLIGHTS];

/* A record of the handshake (RFC 8446 §5.1) that is all there is, with a ClientHello (§4) that is all there is in it. */
static bool is_hello(const uint8_t *o, size_t count)
{
    return count > 9 && count <= FLIGHT_MAX && o[0] == 22 && o[5] == 1 && ((size_t)o[3] << 8 | o[4]) + 5 == count
        && ((size_t)o[6] << 16 | (size_t)o[7] << 8 | o[8]) + 9 == count;
}

bool flight_keep(struct stream *s, const uint8_t *octets, size_t count)
{
    uint32_t at = 0;
    if (!is_hello(octets, count)) {
        return false;
    }
    for (uint32_t none = 0; at < FLIGHTS && !atomic_compare_exchange_strong(&flights[at].state, &none, TAKEN); none = 0) {
        at++;
    }
    if (at == FLIGHTS) {
        return false;
    }
    memcpy(flights[at].octets, octets, count);
    flights[at].length = (uint32_t)count;
    s->attempt.flight = (uint8_t)(at + 1);
    return true;
}

/* NULL: none. Another thread may drop it meanwhile. */
static struct flight *hold(struct stream *s)
{
    unsigned flight = atomic_load(&s->attempt.flight);
    struct flight *f = flight ? &flights[flight - 1] : NULL;
    uint32_t state = f ? atomic_load(&f->state) : 0;
    while (state & TAKEN && !atomic_compare_exchange_weak(&f->state, &state, state + HELD)) {
    }
    if (!(state & TAKEN)) {
        return NULL;
    }
    if (atomic_load(&s->attempt.flight) != flight) {
        atomic_fetch_sub(&f->state, HELD); /* it was dropped, and may be another stream's by now */
        return NULL;
    }
    return f;
}

static void let_go(struct flight *f)
{
    atomic_fetch_sub(&f->state, HELD);
}

bool flight_send(struct stream *s, int fd)
{
    struct flight *f = hold(s);
    if (!f) {
        return false;
    }
    bool sent = REAL(send)(fd, f->octets, f->length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)f->length;
    let_go(f);
    return sent;
}

unsigned flight_find(struct stream *s)
{
    struct flight *f = hold(s);
    struct hello hello;
    if (!f) {
        return 0;
    }
    hello_read(&hello, f->octets, f->length);
    unsigned count = hello.name[0] ? names_others(hello.name, &s->peer, f->others, FLIGHT_OTHERS) : 0;
    let_go(f);
    return count;
}

struct sockaddr_in6 flight_server(struct stream *s, unsigned number)
{
    struct flight *f = number ? hold(s) : NULL;
    struct sockaddr_in6 server = f ? f->others[number - 1] : s->peer;
    if (f) {
        let_go(f);
    }
    return server;
}

void flight_drop(struct stream *s)
{
    unsigned flight = atomic_exchange(&s->attempt.flight, 0);
    if (flight) {
        atomic_fetch_and(&flights[flight - 1].state, ~TAKEN);
    }
}
