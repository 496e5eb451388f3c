/* recognise.c: see recognise.h. */
#include "recognise.h"

#include <stdlib.h>
#include <string.h>

#include "wait/attempt.h"
#include "process/calls.h"
#include "framing/hello.h"
#include "stream/over.h"
#include "process/withdraw.h"

int recognise_method(const char *start, size_t length)
{
    static const char *const methods[] = {
        "GET /", "GET h", "GET H", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ",
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        size_t n = strlen(methods[i]);
        if (!memcmp(start, methods[i], length < n ? length : n)) {
            return length >= n && i < 3;
        }
    }
    return -1;
}

bool recognise_request(struct stream *s, const uint8_t *octets, size_t count)
{
    if (s->exchanges.matched >= 5) {
        return true;
    }
    while (count && s->exchanges.matched < 5) {
        s->exchanges.start[s->exchanges.matched++] = (char)*octets++;
        count--;
    }
    int method = recognise_method(s->exchanges.start, s->exchanges.matched);
    if (method < 0 && atomic_load(&s->tls) && !memcmp(s->exchanges.start, "PRI *", s->exchanges.matched)) {
        /* The preface of HTTP/2 (RFC 9113 §3.4). */
        if (s->exchanges.matched == 5 && stream_open(s)) {
            stream_leave(s, MS_WHY_HTTP_2);
            return false;
        }
        method = 0;
    }
    if (method < 0) {
        stream_leave(s, MS_WHY_NOT_HTTP);
        return false;
    }
    return stream_advance(s, false, STAGE_HTTP);
}

/*
 * Whether the connection's port leaves it open that it is for HTTP. Below 1024 other protocols have ports of their own, and a
 * program that speaks one is not to have the core loaded for a connection that it would only be told of.
 */
static bool is_port_of_http(const struct stream *s)
{
    struct sockaddr_in6 peer = { .sin6_family = AF_UNSPEC };
    socklen_t length = sizeof peer;
    const char *colon = strrchr(s->tunnel, ':');
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
    if (!colon && !REAL(getpeername)(s->fd, (struct sockaddr *)&peer, &length)) {
        port = ntohs(peer.sin6_port); /* a sockaddr_in has it in the same place */
    }
    return port >= 1024 || port == 80 || port == 443;
}

/* A ClientHello of a library that is not known: what the core could be told of the connection. */
static void read_hello(struct stream *s, const uint8_t *octets, size_t count)
{
    struct hello hello;
    hello_read(&hello, octets, count);
    if (hello.name[0]) {
        memcpy(s->host, hello.name, sizeof s->host);
    }
    s->http_over_tls = s->http_over_tls || (hello.protocols ? hello.http : is_port_of_http(s));
}

/* A connection that nobody here can follow: the core is told why, if the connection may be for HTTP. */
static void tell_left(struct stream *s, enum ms_why why)
{
    if (stream_open(s)) {
        stream_leave(s, why);
    } else {
        stream_abandon(s);
    }
}

void recognise_past_hooks(struct stream *s, enum ms_why why)
{
    uint32_t stage = atomic_load(&s->stage);
    if ((stage == STAGE_CANDIDATE || stage == STAGE_HTTP) && is_port_of_http(s)) {
        tell_left(s, why);
    } else {
        stream_leave(s, why);
    }
}

/* "CONNECT host:port HTTP/1.x": what follows the proxy's answer is not for the proxy. */
static bool begin_tunnel(struct stream *s, const uint8_t *octets, size_t count)
{
    size_t length = 0, room = sizeof s->tunnel - 1;
    if (count <= 8 || memcmp(octets, "CONNECT ", 8)) {
        return false;
    }
    octets += 8;
    count -= 8;
    while (length < count && length < room && octets[length] > ' ') {
        length++;
    }
    if (length == count || octets[length] != ' ') {
        return false;
    }
    memcpy(s->tunnel, octets, length);
    s->tunnel[length] = 0;
    return true;
}

/* TLS records (RFC 8446 §5.1). */
#define CHANGE_CIPHER_SPEC 20
#define HANDSHAKE 22
#define APPLICATION_DATA 23

/* A record of content that may hold a request is longer than those of TLS 1.3 that look like one: alerts, KeyUpdate. */
#define SHORTEST_REQUEST 40

void recognise_carried(struct stream *s, const uint8_t *octets, size_t count)
{
    if (count >= SHORTEST_REQUEST && octets[0] == APPLICATION_DATA && atomic_load(&s->stage) == STAGE_CANDIDATE && is_port_of_http(s)) {
        tell_left(s, MS_WHY_TLS_CARRIED);
    }
}

/* Whether octets begin with content, or with the end of a handshake, and content behind it: whoever carries them for another reads them together. */
static bool has_application_data(const uint8_t *octets, size_t count)
{
    while (count >= 5 && octets[0] == CHANGE_CIPHER_SPEC) {
        size_t record = 5 + (size_t)(octets[3] << 8 | octets[4]);
        octets += record < count ? record : count;
        count -= record < count ? record : count;
    }
    return count && octets[0] == APPLICATION_DATA;
}

bool recognise_opaque(struct stream *s, const uint8_t *octets, size_t count)
{
    if (atomic_load(&s->stage) != STAGE_CANDIDATE || s->exchanges.matched) {
        return false;
    }
    if (begin_tunnel(s, octets, count)) {
        s->opaque = true;
    } else if (octets[0] == HANDSHAKE) {
        if (!s->opaque) {
            attempt_greeted(s, octets, count);
        }
        s->opaque = true;
        const uint8_t *random = hello_random(octets, count);
        if (random && !membio_match(s, random)) {
            below_sent(s, random);
        }
        read_hello(s, octets, count);
    } else if (s->opaque && has_application_data(octets, count)) {
        if (tls_is_inside()) {
            return true; /* of a library that is known: its handshake comes to an end */
        }
        if (!s->http_over_tls && !tls_works_on_memory()) {
            stream_leave(s, MS_WHY_NOT_HTTP);
        } else if (tls_works_on_memory()) {
            tell_left(s, MS_WHY_TLS_NOT_FOUND);
        } else {
            tell_left(s, s->passes ? (enum ms_why)s->passes : MS_WHY_TLS_UNKNOWN);
        }
    } else if (s->opaque && octets[0] > HANDSHAKE) {
        stream_leave(s, MS_WHY_TUNNEL);
    }
    return s->opaque;
}
