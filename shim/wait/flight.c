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

static struct flight {
    _Atomic uint32_t taken;
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
    while (at < FLIGHTS && atomic_exchange(&flights[at].taken, 1)) {
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

/* NULL: none. Another thread may close the stream meanwhile. */
static struct flight *flight_of(struct stream *s)
{
    unsigned flight = atomic_load(&s->attempt.flight);
    return flight ? &flights[flight - 1] : NULL;
}

bool flight_send(struct stream *s, int fd)
{
    const struct flight *f = flight_of(s);
    return f && REAL(send)(fd, f->octets, f->length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)f->length;
}

unsigned flight_find(struct stream *s)
{
    struct flight *f = flight_of(s);
    struct hello hello;
    if (!f) {
        return 0;
    }
    hello_read(&hello, f->octets, f->length);
    return hello.name[0] ? names_others(hello.name, &s->peer, f->others, FLIGHT_OTHERS) : 0;
}

const struct sockaddr *flight_server(struct stream *s, unsigned number)
{
    const struct flight *f = number ? flight_of(s) : NULL;
    return (const struct sockaddr *)(f ? &f->others[number - 1] : &s->peer);
}

void flight_drop(struct stream *s)
{
    unsigned flight = atomic_exchange(&s->attempt.flight, 0);
    if (flight) {
        atomic_store(&flights[flight - 1].taken, 0);
    }
}
