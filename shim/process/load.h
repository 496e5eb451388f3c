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

/* By the hand: the core's end of the channel is the core's alone, once it has a table of its own. */
void load_part_with_core(void);

/* Before a fork: waits, bounded, until the helper is not inside the loader. */
void load_wait(void);

/* In a forked child: the parent's core is out of reach; the next GET loads a copy. */
void load_forget(void);

/* The core and the hand have ended, and all their threads are gone. */
void load_release(void);

/* At the end of the process. */
void load_remove_control_socket(void);

/* False when the socket is in another network namespace than the core. True while there is none. */
bool load_is_near(int fd);

/* True when the descriptor is Midstream's own: the program neither closes nor sees it. */
bool load_owns(int fd);
void load_own(int fd);
void load_disown(int fd);

/* The program is about to put something on a number that Midstream occupies: the descriptor moves elsewhere. */
void load_vacate(int fd);

/*
 * Who sends on Midstream's own descriptors without load_lock counts himself in and out: what a number meant a moment ago may be
 * the program's own file by now.
 */
extern _Atomic uint32_t load_users;

/*
 * Held by the hand while it works with descriptors, some of which have for a moment a number that the program may choose, and
 * by calls with which the program chooses one. Waits a second at most. Not across anything that a handler may leave.
 */
void load_lock(void);
void load_unlock(void);

/* Moves a descriptor out of the program's way: high, close-on-exec, owned. -1 when there is no room. */
int load_lift(int fd);

#endif
