/*
 * at_once.h: reads that do not wait, as a bare system call.
 *
 * In a process of several threads, which one with the core is, glibc makes a thread cancellable before a system call that
 * may wait, and undoes that after it: two locked operations and two calls more, as much as all that a read in the
 * middle of content costs here (bulk.h). One that cannot wait needs no more of pthread_cancel(3) than
 * that a request which has already come is acted upon.
 */
#ifndef MIDSTREAM_AT_ONCE_H
#define MIDSTREAM_AT_ONCE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "calls.h"

/* Whether the C library is next to see a read, and no other preloaded library. Found out by at_once_look, before the core comes. */
extern _Atomic bool at_once_direct;
void at_once_look(void);

/* recv(2) with MSG_DONTWAIT, where at_once_direct. */
static inline __attribute__((always_inline)) ssize_t recv_at_once(int fd, void *buffer, size_t length, int flags)
{
    pthread_testcancel();
#if defined __x86_64__ && !defined __ILP32__
    /* Without a function in between: after a system call the processor no longer foresees where functions return to. */
    register long flags_in __asm__("r10");
    register long from __asm__("r8");
    register long from_length __asm__("r9");
    long result;
    flags_in = flags;
    from = from_length = 0;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"((long)SYS_recvfrom), "D"((long)fd), "S"(buffer), "d"(length), "r"(flags_in), "r"(from), "r"(from_length)
                     : "rcx", "r11", "memory");
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return result;
#elif defined SYS_recvfrom
    return REAL(syscall)(SYS_recvfrom, fd, buffer, length, flags, NULL, NULL);
#else
    return REAL(recv)(fd, buffer, length, flags);
#endif
}

#endif
