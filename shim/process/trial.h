/*
 * trial.h: whether the process may make the system calls that Midstream makes.
 *
 * A filter (seccomp(2)) may kill a program for a call that it does not make by itself. So a child makes them first, without effect,
 * under the filter that the program has been started with, or is about to set. If it does not survive that, Midstream stays out.
 */
#ifndef MIDSTREAM_TRIAL_H
#define MIDSTREAM_TRIAL_H

#include <stdbool.h>

/* The program is about to set a filter, a struct sock_fprog: whether Midstream can go on under it. */
bool trial_of(const void *filter);

/* Whether there is a filter that Midstream cannot work under. Looked for once a process; then costs a load. */
bool trial_failed(void);

#endif
