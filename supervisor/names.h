/* names.h: what a program asks of a socket that is carried: getpeername, getsockname, and why a connection has failed (SO_ERROR). */
#ifndef MIDSTREAM_SUPERVISOR_NAMES_H
#define MIDSTREAM_SUPERVISOR_NAMES_H

struct notice;

void names_peer(struct notice *n);
void names_local(struct notice *n);
void names_error(struct notice *n);

#endif
