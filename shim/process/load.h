/* load.h: brings the Go core into the process, once, at the first GET; see load.c for the steps. */
#ifndef MIDSTREAM_LOAD_H
#define MIDSTREAM_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "../../cgo/abi.h"

enum load_state { LOAD_NONE, LOAD_STARTING, LOAD_UP, LOAD_FAILED };

extern _Atomic uint32_t load_state;

/* The shim's end of the channel, in the program's descriptor table; -1 before the load. */
extern _Atomic int load_channel;

/* Shared with the core; its pages are touched by tracked streams only. */
extern struct ms_shared shared;

/* Starts the helper unless it runs. False when that has failed, now or before. */
bool load_start(void);

/* By the agent: the core's end of the channel is the core's alone, once it has a table of its own. */
void load_part_with_core(void);

/* By who is about to end the core: one that has not been opened yet will not be. */
void load_call_off(void);

/* The core is needed as soon as can be. Any thread, at any time. Keeps no errno. */
void load_hasten(void);

/* Before whatever may fork, or ends the core, or needs it: waits, bounded, until the helper is not inside the loader. Keeps errno. */
void load_wait(void);

/*
 * Before fork(), and in the parent after it. A helper that has not entered the loader yet stays out of it, and the fork does not wait for
 * the core. Keeps errno.
 */
void load_pause(void);
void load_go_on(void);

/* The helper waits for another thread's fork. */
bool load_is_paused(void);

/* In a forked child: the parent's core is out of reach; the next GET loads a copy. */
void load_forget(void);

/* The core and the agent have ended, and all their threads are gone. */
void load_release(void);

/* At the end of the process. */
void load_remove_control_socket(void);

/* What Midstream had on the number is on `moved` as well now (own_vacate). */
void load_moved(int fd, int moved);

/* False when the socket is in another network namespace than the core. True while there is none. */
bool load_is_near(int fd);

#endif
