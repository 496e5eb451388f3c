/* relay.h: carries octets, both ways, and how each of them ends. */
#ifndef MIDSTREAM_SUPERVISOR_RELAY_H
#define MIDSTREAM_SUPERVISOR_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct carried;
struct end;
struct way;

/* What has become of a connection: nothing can be done before something happens; there is more to do; its ends are closed. */
enum step { STEP_DONE, STEP_MORE, STEP_OVER };

/* Both ends are connected, and in the set. */
void relay_begin(struct carried *c);

void relay_event(struct end *end, uint32_t events);

/* For tls.c, which carries the octets of some by itself: all is over, and each end is closed, or reset. */
enum step relay_over(struct carried *c, bool reset_program, bool reset_server);

/* The same: an end has met an error. */
enum step relay_failed(struct carried *c, struct end *end, int error);

/* The same: the server's end has failed, and all that came before is with the program's kernel. */
enum step relay_pass_failure(struct carried *c);

/* The same: FIN goes on behind the octets. */
void relay_pass_end(struct carried *c, struct way *w);

/* The same: there are octets that an end has not taken yet. False: out of memory. */
bool relay_keep(struct way *w, const void *octets, size_t count);
void relay_drop(struct way *w);

/* Goes on with those that have more to do than they were given time for. Milliseconds until the next look; -1: never. */
int relay_look(void);

/* Pipes that there are. */
unsigned relay_pipes(void);

#endif
