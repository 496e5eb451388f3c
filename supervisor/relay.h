/* relay.h: carries octets, both ways, and how each of them ends. */
#ifndef MIDSTREAM_SUPERVISOR_RELAY_H
#define MIDSTREAM_SUPERVISOR_RELAY_H

#include <stdbool.h>
#include <stdint.h>

struct carried;
struct end;

/* Both ends are connected, and in the set. */
void relay_begin(struct carried *c);

void relay_event(struct end *end, uint32_t events);

/* Goes on with those that have more to do than they were given time for. Milliseconds until the next look; -1: never. */
int relay_look(void);

/* Pipes that there are. */
unsigned relay_pipes(void);

#endif
