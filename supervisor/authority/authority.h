/*
 * authority.h: the certificate authority of this run (tls.reach = "ca").
 *
 * Its key, and that of the certificates which it signs, are made as the supervisor starts, lie in locked memory that is in no core dump, and
 * end with the process. A certificate is for the one name, or address, for which the server's has been verified.
 */
#ifndef MIDSTREAM_SUPERVISOR_AUTHORITY_H
#define MIDSTREAM_SUPERVISOR_AUTHORITY_H

#include <stdbool.h>
#include <stddef.h>

/* Makes it; `prepare` settles the rest of each SSL_CTX that authority_context makes. NULL, or why it cannot be. */
const char *authority_open(void (*prepare)(void *context));

/* Its own certificate as PEM (RFC 7468), with a NUL; 0 where it does not fit. */
size_t authority_certificate(char *pem, size_t size);

/* The hash of its name, by which OpenSSL finds it in a folder (X509_LOOKUP_hash_dir(3)). */
unsigned long authority_hash(void);

/* Whether there is room for another connection: OpenSSL keeps what is secret of each handshake in the locked memory as well. */
bool authority_has_room(void);

/* Whether a certificate can be made for a host. Names come out of a ClientHello: what is no name does not get into one. */
bool authority_may(const char *host);

/* The SSL_CTX of sessions with programs that mean this host; it may be another one at the next call. NULL: out of memory. */
void *authority_context(const char *host);

#endif
