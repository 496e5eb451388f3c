/*
 * syscall.c: system calls that programs make by number (node closes its sockets so). Those that open, close
 * or duplicate go the way of their functions; all others pass as they are.
 */
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/calls.h"
#include "confine.h"
#include "wait/epoll_set.h"
#include "process/load.h"

EXPORT int clone(int (*function)(void *), void *stack, int flags, void *argument, ...)
{
    va_list arguments;
    va_start(arguments, argument);
    void *parent = va_arg(arguments, void *), *tls = va_arg(arguments, void *), *child = va_arg(arguments, void *);
    va_end(arguments);
    load_wait();
    if (flags & CLONE_THREAD && !(flags & CLONE_FILES)) {
        confine_table();
    }
    return REAL(clone)(function, stack, flags, argument, parent, tls, child);
}

EXPORT long syscall(long number, ...)
{
    va_list arguments;
    long a[6];
    va_start(arguments, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(arguments, long);
    }
    va_end(arguments);
    confine_syscall(number, a);
    switch (number) {
    case SYS_clone:
#ifdef SYS_fork
    case SYS_fork:
#endif
        /* A child must not inherit the loader's locks from a helper that is inside it; fork() waits likewise. */
        load_wait();
        break;
    case SYS_close:
        return close((int)a[0]);
#ifdef SYS_close_range
    case SYS_close_range:
        return close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
#endif
    case SYS_dup:
        return dup((int)a[0]);
#ifdef SYS_dup2
    case SYS_dup2:
        return dup2((int)a[0], (int)a[1]);
#endif
    case SYS_dup3:
        return dup3((int)a[0], (int)a[1], (int)a[2]);
    case SYS_bind:
        return bind((int)a[0], (const struct sockaddr *)a[1], (socklen_t)a[2]);
    case SYS_setsockopt:
        return setsockopt((int)a[0], (int)a[1], (int)a[2], (const void *)a[3], (socklen_t)a[4]);
    case SYS_epoll_ctl:
        return epoll_ctl((int)a[0], (int)a[1], (int)a[2], (struct epoll_event *)a[3]);
#ifdef SYS_io_uring_setup
    case SYS_io_uring_setup:
        epoll_note_ring();
        break;
#endif
    case SYS_read:
        return read((int)a[0], (void *)a[1], (size_t)a[2]);
    case SYS_write:
        return write((int)a[0], (const void *)a[1], (size_t)a[2]);
    }
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
