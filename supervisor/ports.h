/* ports.h: to which ports connections are carried (reach.ports). */
#ifndef MIDSTREAM_SUPERVISOR_PORTS_H
#define MIDSTREAM_SUPERVISOR_PORTS_H

#include <stdbool.h>
#include <stdint.h>

/* Reads "80,443,1024-65535". False where it is none such; nothing has changed then. */
bool ports_read(const char *text);

bool ports_have(uint16_t port);

#endif
