/* hosts.h: what is remembered of hosts: why their connections are passed through, and sessions that may be resumed. */
#ifndef MIDSTREAM_SUPERVISOR_HOSTS_H
#define MIDSTREAM_SUPERVISOR_HOSTS_H

#include <stdint.h>

/* Why connections of the host are passed through (enum ms_why); MS_WHY_NONE: they are not. */
unsigned hosts_why_passed(const char *host);

/* They are, from now on. What was remembered first holds. */
void hosts_pass(const char *host, unsigned why);

/* Takes an SSL_SESSION with that server, for one connection. */
void hosts_keep_session(const char *host, uint16_t port, void *session);

/* Has an SSL begin with such a session, if there is one. */
void hosts_resume(const char *host, uint16_t port, void *ssl);

#endif
