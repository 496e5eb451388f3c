/* options.h: what a program has set on its socket, as far as it is for the network, and so for the connection that carries it. */
#ifndef MIDSTREAM_SUPERVISOR_OPTIONS_H
#define MIDSTREAM_SUPERVISOR_OPTIONS_H

#include <stdbool.h>

/* Sets on a socket that has just been made, of IPv6 or IPv4, what the other has. */
void options_copy(int from, int to, bool six);

struct notice;

/* setsockopt() of one that may be set at any time: of what is carried, it is set on both. */
void options_set(struct notice *n);

#endif
