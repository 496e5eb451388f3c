/* hello.h: what a TLS ClientHello says in the clear (RFC 8446 §4.1.2). */
#ifndef MIDSTREAM_HELLO_H
#define MIDSTREAM_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest host name (RFC 1035 §2.3.4), and its NUL. */
#define HELLO_NAME 256

struct hello {
    bool protocols; /* it has a list of protocols (RFC 7301) */
    bool http;      /* HTTP is among them */
    bool http_1;    /* HTTP/1.1 is */
    bool complete;  /* all of it is there, in one record */
    bool ordinary;  /* TLS 1.2 or 1.3, with a curve and a signature that all have: ECDSA and ECDHE with P-256, or X25519 */
    char name[HELLO_NAME]; /* of the server (RFC 6066 §3), "" none */
};

#define HELLO_RANDOM 32

/* The random octets of a ClientHello that begins there, or NULL. */
const uint8_t *hello_random(const uint8_t *octets, size_t count);

/* Reads the first octets that a connection carries. What is not there, or not as it should be, counts as absent. */
void hello_read(struct hello *hello, const uint8_t *octets, size_t count);

#endif
