/* memory.c: see memory.h. */
#include "memory.h"

#include <errno.h>
#include <sys/syscall.h>

#include "calls.h"
#include "withdraw.h"

#define MASK_OCTETS 8 /* of the kernel's signal mask */

/* rt_sigprocmask(2) reads a mask before it finds that there is no such thing to be done with it. */
static bool is_mask(uintptr_t at)
{
    return REAL(syscall)(SYS_rt_sigprocmask, -1, at & ~(uintptr_t)(MASK_OCTETS - 1), NULL, MASK_OCTETS) >= 0 || errno != EFAULT;
}

bool memory_ask(const void *at, size_t length)
{
    uintptr_t first = (uintptr_t)at, last = first + length - 1;
    if (withdraw_is_silent()) {
        return false; /* this call may not be allowed */
    }
    int saved = errno;
    bool readable = last >= first && is_mask(last);
    for (uintptr_t page = first; readable && page < last && page / MEMORY_PAGE < last / MEMORY_PAGE; page += MEMORY_PAGE) {
        readable = is_mask(page);
    }
    errno = saved;
    return readable;
}
