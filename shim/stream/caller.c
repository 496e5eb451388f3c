/* caller.c: see caller.h. */
#include "caller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/above.h"
#include "process/calls.h"
#include "process/fork.h"
#include "gate.h"
#include "stream.h"

static _Thread_local uint32_t own_tid, calls;

static uint32_t thread_of(uint64_t token)
{
    return (uint32_t)(token >> 32);
}

static uint32_t own(void)
{
    if (!own_tid) {
        own_tid = (uint32_t)REAL(syscall)(SYS_gettid);
    }
    return own_tid;
}

/* System calls that a thread may be in while it is in such a call; of most of them the descriptor is the first argument. */
static bool may_be_in_it(long number, const unsigned long *arguments, int fd)
{
    switch (number) {
    case SYS_read:
    case SYS_readv:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_write:
    case SYS_writev:
    case SYS_sendto:
    case SYS_sendmsg:
        return arguments[0] == (unsigned long)fd;
    case SYS_restart_syscall:
    case SYS_splice:
    case SYS_sendfile:
        return true;
    }
    return false;
}

/* A TLS library, or the transport that the program has given it, may wait for octets beforehand. */
static bool may_wait_for_it(long number)
{
    switch (number) {
#ifdef SYS_poll
    case SYS_poll:
    case SYS_select:
    case SYS_epoll_wait:
#endif
    case SYS_ppoll:
    case SYS_pselect6:
    case SYS_epoll_pwait:
        return true;
    }
    return false;
}

enum whereabouts { UNKNOWN, RUNNING, IN_CALL, IN_WAIT, ELSEWHERE };

/* Where the thread is, as the kernel tells. */
static enum whereabouts whereabouts(const struct stream *s, uint32_t tid)
{
    char text[256];
    snprintf(text, sizeof text, "/proc/self/task/%u/syscall", tid);
    int file = (int)REAL(syscall)(SYS_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return UNKNOWN;
    }
    ssize_t n = REAL(read)(file, text, sizeof text - 1);
    REAL(syscall)(SYS_close, file);
    text[n > 0 ? n : 0] = 0;
    char *end;
    long number = strtol(text, &end, 10);
    unsigned long arguments[3];
    if (end == text || number < 0) {
        return RUNNING;
    }
    for (int i = 0; i < 3; i++) {
        arguments[i] = strtoul(end, &end, 16);
    }
    return may_be_in_it(number, arguments, s->fd) ? IN_CALL : may_wait_for_it(number) ? IN_WAIT : ELSEWHERE;
}

/*
 * Whether the thread has left the call. It may also be in a signal handler that has interrupted the call and will return to
 * it: that call finds itself undone then, and what it has read is not counted.
 */
static bool is_gone(const struct stream *s, uint64_t token)
{
    uint32_t tid = thread_of(token);
    if (!fork_same_process()) {
        return false;
    }
    if (tid == own()) {
        return true;
    }
    if (REAL(syscall)(SYS_tgkill, getpid(), tid, 0) && errno == ESRCH) {
        return true;
    }
    if (token & CALLER_COUNTS || atomic_load(&s->tls)) {
        return false; /* a TLS library may be anywhere */
    }
    return whereabouts(s, tid) >= IN_WAIT;
}

/* True when the place is free. */
static bool clear_place(struct stream *s, _Atomic uint64_t *place)
{
    uint64_t token = atomic_load(place);
    if (!token) {
        return true;
    }
    int saved = errno;
    bool gone = is_gone(s, token);
    errno = saved;
    if (!gone || !atomic_compare_exchange_strong(place, &token, 0)) {
        return false;
    }
    if (token & CALLER_COUNTS) {
        stream_leave(s, MS_WHY_UNCOUNTED);
    }
    if (place == &s->callers.records) {
        atomic_fetch_sub(&s->callers.receiving, 1);
    }
    gate_leave(s);
    return true;
}

uint64_t caller_enter(struct stream *s, _Atomic uint64_t *place)
{
    uint64_t token = (uint64_t)own() << 32 | (++calls & ~CALLER_COUNTS), none = 0;
    atomic_store_explicit(&s->callers.last, own_tid, memory_order_relaxed);
    if (atomic_compare_exchange_strong(place, &none, token)) {
        return token;
    }
    none = 0;
    return clear_place(s, place) && atomic_compare_exchange_strong(place, &none, token) ? token : 0;
}

void caller_leave(struct stream *s, _Atomic uint64_t *place, uint64_t token)
{
    if (atomic_compare_exchange_strong(place, &token, 0)) {
        gate_leave(s);
    }
}

void caller_look(struct stream *s)
{
    clear_place(s, &s->callers.reading);
    clear_place(s, &s->callers.writing);
    clear_place(s, &s->callers.peeking);
    clear_place(s, &s->callers.records);
}

static bool sleeps(const struct stream *s, uint64_t token)
{
    if (!token) {
        return true;
    }
    switch (token & CALLER_COUNTS ? RUNNING : whereabouts(s, thread_of(token))) {
    case UNKNOWN: /* there is no /proc here */
    case IN_CALL:
        return true;
    case IN_WAIT:
        return atomic_load(&((struct stream *)s)->tls);
    default:
        return false;
    }
}

bool caller_sleeps(const struct stream *s)
{
    struct stream *t = (struct stream *)s;
    return sleeps(s, atomic_load(&t->callers.reading)) && sleeps(s, atomic_load(&t->callers.peeking)) && sleeps(s, atomic_load(&t->callers.records));
}

bool caller_other_reads(const struct stream *s)
{
    uint64_t token = atomic_load(&s->callers.reading);
    return token && thread_of(token) != own();
}

bool caller_other_writes(const struct stream *s, uint64_t marks)
{
    uint64_t token = atomic_load(&s->callers.writing);
    return token && thread_of(token) != own() && (token & marks) == marks;
}

bool caller_is_here(const struct stream *s)
{
    return thread_of(atomic_load(&s->callers.reading)) == own() || thread_of(atomic_load(&s->callers.writing)) == own();
}

void caller_look_for_own(struct stream *s)
{
    if (thread_of(atomic_load(&s->callers.reading)) == own()) {
        clear_place(s, &s->callers.reading);
    }
}

void caller_forget(void)
{
    own_tid = 0;
}
