/*
 * calls.h: the C library's own functions behind the interposed ones (calls.def).
 *
 * REAL(recv)(fd, …) calls the function that the program would have called without Midstream. It is looked
 * up at its first use, so it works before any constructor has run and costs one load afterwards.
 */
#ifndef MIDSTREAM_CALLS_H
#define MIDSTREAM_CALLS_H

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

#define CALL(result, name, parameters) CALL_##name,
enum call_index {
#include "calls.def"
    CALL_COUNT
};
#undef CALL

/* The hooks themselves. The C library's headers do not declare all of them (__read_chk). */
#define CALL(result, name, parameters) EXPORT result name parameters;
#include "calls.def"
#undef CALL

#define CALL(result, name, parameters) typedef result(*name##_function) parameters;
#include "calls.def"
#undef CALL

extern _Atomic(void *) calls_real[CALL_COUNT];

/* Looks the function up. Never fails for a function that the program itself could have linked to. */
void *calls_look_up(enum call_index index);

static inline void *calls_get(enum call_index index)
{
    void *function = atomic_load_explicit(&calls_real[index], memory_order_acquire);
    return function ? function : calls_look_up(index);
}

#define REAL(name) ((name##_function)calls_get(CALL_##name))

#endif
