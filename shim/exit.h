/* exit.h: the end of a process whose main thread has left before the others. */
#ifndef MIDSTREAM_EXIT_H
#define MIDSTREAM_EXIT_H

#include <stdbool.h>

/* The main thread has left by pthread_exit(). */
bool exit_is_near(void);

/* By the hand, now and then once exit_is_near(): ends the process if only Midstream's threads are left. */
void exit_if_alone(void);

#endif
