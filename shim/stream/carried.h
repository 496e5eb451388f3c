/*
 * carried.h: connections that midstream-supervisor makes for another process, which no library can be preloaded into, or whose TLS cannot
 * be followed there.
 */
#ifndef MIDSTREAM_CARRIED_H
#define MIDSTREAM_CARRIED_H

#include <stdbool.h>

/*
 * By the supervisor, which finds it by its name: the connection that is being made on fd is that of process pid, which has it on
 * `number`. 0; -1 where it is not followed.
 */
int midstream_carries(int fd, int pid, int number);

/* The same: why the TLS that goes over fd is not ended by the supervisor (enum ms_why), but passed through. */
void midstream_passes(int fd, unsigned why);

/*
 * The length of an address by which the library in a program asks the supervisor to carry this connection, of whose TLS it could see
 * nothing: no structure of addresses has it, and the kernel asks only for enough. MIDSTREAM_TLS_REACH=ca says that there is a supervisor for it.
 */
#define CARRIED_LENGTH 127
bool carried_is_possible(void);

#endif
