/*
 * own.h: Midstream's own descriptors in the program's table: high numbers, close-on-exec, and neither closed nor seen by the program.
 *
 * The budget: the channel to the core, its other end until the core has a table of its own, the agent's eventfd and the twins' one; and,
 * for a stream during and after a hand-over, the socket that is to come, the one that is kept, and one of the present one. They stand
 * above three quarters of what RLIMIT_NOFILE allows, or above half of it where that is full, which is well above what programs use; where
 * there is no number left, a hand-over is refused, and nothing else is lost.
 */
#ifndef MIDSTREAM_OWN_H
#define MIDSTREAM_OWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Numbers from here on are never used. */
#define OWN_TABLE 65536

/* True when the descriptor is Midstream's own. */
bool own_has(int fd);
void own_add(int fd);
void own_remove(int fd);

/* Moves a descriptor out of the program's way: high, close-on-exec, owned. -1 when there is no room; it is closed then. */
int own_lift(int fd);

/* Closes it; -1 is allowed. own_drop leaves -1 behind. */
void own_close(int fd);
void own_drop(int *fd);

/* All of them, when nobody uses them any more. */
void own_close_all(void);

/* The program is about to put something on a number that Midstream occupies: the descriptor moves elsewhere. */
void own_vacate(int fd);

/*
 * Who sends on Midstream's own descriptors without own_lock counts himself in and out: what a number meant a moment ago may be
 * the program's own file by now. The other waits, bounded, for all who have read a number before it changed.
 */
extern _Atomic uint32_t own_users;
void own_await_users(void);

/*
 * Held by the agent while it works with descriptors, some of which have for a moment a number that the program may choose, and
 * by calls with which the program chooses one. Waits a second at most. Not across anything that a handler may leave.
 */
void own_lock(void);
void own_unlock(void);

/* In a forked child: nobody holds it, and nobody is counted. */
void own_forget(void);

#endif
