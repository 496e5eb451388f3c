/* flight.c: see flight.h. */
#include "flight.h"

#include <string.h>
#include <sys/socket.h>

#include "process/calls.h"
#include "names.h"

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
    s->flight = (uint8_t)(at + 1);
    return true;
}

bool flight_send(const struct stream *s, int fd)
{
    const struct flight *f = s->flight ? &flights[s->flight - 1] : NULL;
    return f && REAL(send)(fd, f->octets, f->length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)f->length;
}

unsigned flight_find(struct stream *s)
{
    return names_others(&s->peer, flights[s->flight - 1].others, FLIGHT_OTHERS);
}

const struct sockaddr *flight_server(const struct stream *s, unsigned number)
{
    return (const struct sockaddr *)(number ? &flights[s->flight - 1].others[number - 1] : &s->peer);
}

void flight_drop(struct stream *s)
{
    if (s->flight) {
        atomic_store(&flights[s->flight - 1].taken, 0);
        s->flight = 0;
    }
}
