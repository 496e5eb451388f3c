/*
 * threads.h: Midstream's own threads, the core's included.
 *
 * The core's are made before it is opened: a Go runtime that wants a thread and gets none ends the process, and a limit on
 * processes (RLIMIT_NPROC, pids.max) may be reached at any time. So some more are made than it starts with, and sleep until it
 * asks for them. None of them has a signal unblocked before Go says so.
 */
#ifndef MIDSTREAM_THREADS_H
#define MIDSTREAM_THREADS_H

#include <stdbool.h>
#include <stddef.h>

/* Starts a thread with every signal blocked. Keeps the caller's mask. It begins with threads_begin(). */
bool threads_start(void *(*function)(void *), void *argument, size_t stack);

/* Midstream's threads are known by their names, which all begin with "midstream". */
void threads_begin(const char *name);

/* Some have been started, and have no name yet. */
bool threads_are_starting(void);

/* By the helper, in the core's descriptor table: makes those that the core will ask for. False: there is no room for them. */
bool threads_prepare(void);

/* Those of the core's that have nothing to do end. */
void threads_dismiss(void);

/* Whether the process has any of Midstream's, as /proc tells; but for those of that name, unless it is NULL. */
bool threads_are_left(const char *but);

/* Whether a thread, given as a number in decimal, is Midstream's; true for one that is gone. Its name, with a line end, goes to `name`. */
#define THREADS_NAME 32
bool threads_owns(const char *tid, char name[THREADS_NAME]);

/* In a forked child: there are none. */
void threads_forget(void);

#endif
