/*
 * exit.h: a process ends when the last of its threads does. Midstream's own must not keep it alive, once the program's main thread
 * has left before the others.
 *
 * Two of Midstream's threads see to that, which sleep until the kernel says that the main thread is gone. One, always there
 * beside the core, and in its descriptor table, is for a main thread that ends by the bare system call: the process then has its
 * exit status. The other is for one that leaves by pthread_exit(), thrd_exit() or pthread_cancel(), where the C library has the last
 * thread call exit(0): that is done in the program's own table, for its handlers.
 */
#ifndef MIDSTREAM_EXIT_H
#define MIDSTREAM_EXIT_H

#include <stdbool.h>

/* By the helper: the first of the two. False: there is no room for it. */
bool exit_watch(void);

/* The core ends: the first is not needed any more. */
void exit_unwatch(void);

/* By a thread of the program's that is about to load the core: the other, if the main thread has left already. */
void exit_before_load(void);

/* In a forked child, by its only thread. */
void exit_forget(void);

#endif
