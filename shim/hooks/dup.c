/*
 * dup.c: one connection behind several descriptors. Such a stream is left where it is: changing what is behind one number
 * would part it from the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "process/calls.h"
#include "close.h"
#include "process/fork.h"
#include "wait/attempt.h"
#include "stream/gate.h"
#include "process/agent.h"
#include "process/load.h"
#include "process/own.h"
#include "call/recognise.h"
#include "tls/tls.h"
#include "call/unchunk.h"


/* Called before `fd` gets a twin, which is not read by way of a record, and behind which nothing else is ever put. */
static void prepare(int fd)
{
    struct stream *s = stream_of(fd);
    if (s) {
        attempt_withdraw(s);
        unchunk_end(s);
    }
}

/* Called when `fd` has got a twin. */
static int note_duplicate(int fd, int twin)
{
    struct stream *s = twin >= 0 ? stream_of(fd) : NULL;
    if (s && fork_is_mine() && fork_same_process()) {
        int saved = errno;
        stream_leave(s, MS_WHY_DUPLICATED);
        errno = saved;
    }
    if (twin >= 0 && stream_entry(twin) && fork_same_process()) {
        struct stream *stale = stream_of(twin);
        if (stale && stale != s) {
            stream_closed(stale);
        }
        if (stale != s) {
            stream_mark(twin, NULL);
        }
    }
    return twin;
}

EXPORT int dup(int fd)
{
    prepare(fd);
    /* The agent must not be between its own dup and dup3 when the number gets a twin. */
    struct stream *s = gate_enter_fd(fd);
    int twin = note_duplicate(fd, REAL(dup)(fd));
    gate_leave_if(s);
    return twin;
}

/* The call itself, while the agent has nothing in its fingers. */
static int choose(int fd, int to, int flags, bool dup3_call)
{
    bool alone = atomic_load(&load_state) == LOAD_NONE || !fork_is_mine() || !fork_same_process();
    sigset_t all, before;
    if (!alone) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        own_lock();
        if (own_has(to)) {
            /* The program wants this number: whatever of ours is there has to move; the stream it served stays put. */
            own_vacate(to);
        }
    }
    int twin = dup3_call ? REAL(dup3)(fd, to, flags) : REAL(dup2)(fd, to);
    if (!alone) {
        int saved = errno;
        own_unlock();
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        errno = saved;
    }
    return twin;
}

static int dup_onto(int fd, int to, int flags, bool dup3_call)
{
    if (fd == to) {
        return dup3_call ? REAL(dup3)(fd, to, flags) : REAL(dup2)(fd, to);
    }
    prepare(fd);
    struct stream *s = gate_enter_fd(fd);
    if (stream_entry(to) && REAL(fcntl)(fd, F_GETFD) >= 0) {
        close_prepare(to);
    }
    int twin = choose(fd, to, flags, dup3_call);
    note_duplicate(fd, twin);
    gate_leave_if(s);
    return twin;
}

EXPORT int dup2(int fd, int to)
{
    return dup_onto(fd, to, 0, false);
}

EXPORT int dup3(int fd, int to, int flags)
{
    return dup_onto(fd, to, flags, true);
}

/*
 * F_SETFL and F_SETFD, of which wget makes two for each record of TLS. The flags are copied while the gate is closed: a call
 * before and after which it was open, and not closed in between, has been in nobody's way.
 */
static inline __attribute__((always_inline)) int set_flags(int fd, int command, void *argument)
{
    struct stream *s = stream_of(fd);
    if (!s || !fork_is_mine() || tls_own_traffic(s)) {
        return REAL(fcntl)(fd, command, argument);
    }
    agent_check();
    uint32_t changes = atomic_load(&gate_changes);
    bool open = !atomic_load(&s->gate.state);
    int result = open ? REAL(fcntl)(fd, command, argument) : -1;
    if (!open || atomic_load(&s->gate.state) || atomic_load(&gate_changes) != changes) {
        s = gate_enter(s) ? s : NULL;
        result = REAL(fcntl)(fd, command, argument);
        gate_leave_if(s);
    }
    if (s && command == F_SETFL && result >= 0) {
        bool waits = !((uintptr_t)argument & O_NONBLOCK);
        atomic_store_explicit(&s->blocking, waits ? atomic_load(&s->waiting) : BLOCKING_NEVER, memory_order_relaxed);
    }
    return result;
}

static __attribute__((noinline)) int duplicate(int fd, int command, void *argument)
{
    prepare(fd);
    struct stream *s = gate_enter_fd(fd);
    int twin = note_duplicate(fd, REAL(fcntl)(fd, command, argument));
    gate_leave_if(s);
    return twin;
}

/* In the frame of the hook: see at_once.h. */
static inline __attribute__((always_inline)) int control(int fd, int command, void *argument)
{
    if (command == F_SETFL || command == F_SETFD) {
        return set_flags(fd, command, argument);
    }
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
        return duplicate(fd, command, argument);
    }
    return REAL(fcntl)(fd, command, argument);
}

EXPORT int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return control(fd, command, argument);
}

EXPORT int fcntl64(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return control(fd, command, argument);
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
    prepare(fd);
    FILE *file = REAL(fdopen)(fd, mode);
    struct stream *s = file ? stream_of(fd) : NULL;
    if (s && fork_is_mine()) {
        int saved = errno;
        /* stdio reads with system calls that no hook sees. */
        recognise_past_hooks(s, MS_WHY_STDIO);
        errno = saved;
    }
    return file;
}
