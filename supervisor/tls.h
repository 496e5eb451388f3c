/*
 * tls.h: ends the TLS of programs with a certificate of this run's authority, and begins the supervisor's own with the server
 * (tls.reach = "ca"), so that what lies between, HTTP, can be followed and moved: that session is an OpenSSL program's like any other.
 *
 * A connection's ClientHello is looked at, and left where it is, until the supervisor's own handshake has shown that the server's certificate is
 * good, by OpenSSL's rules and the system's certificates. If it is not, or anything else stands against it, the connection is passed
 * through as it is, over a second connection to the server where the first has been used: the program judges by itself. What has
 * stood against a host, stands for all its connections from then on.
 */
#ifndef MIDSTREAM_SUPERVISOR_TLS_H
#define MIDSTREAM_SUPERVISOR_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay.h"

struct carried;
struct end;

/* Makes the authority, and what is needed with servers. NULL, or why it cannot be. */
const char *tls_open(void);

/* The authorities of the system, which take a while to read: the program does not wait for them. */
void tls_learn_authorities(void);

/* All is passed through: nobody trusts the authority. */
void tls_close(void);

/* Both ends of a connection are connected, and in the set: whether it is looked at here, from now on. */
bool tls_begin(struct carried *c);

/* Something has happened on an end of one that is. */
enum step tls_event(struct carried *c, struct end *end, uint32_t events);

/* Carries octets of one that is, as far as that goes. */
enum step tls_carry(struct carried *c);

/* Those of which half a ClientHello has come are not waited for for ever. Milliseconds until the next look; -1: never. */
int tls_look(void);

/* It is over: its descriptors are still open. */
void tls_end(struct carried *c);

#endif
