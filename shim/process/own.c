/* own.c: see own.h. */
#include "own.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "clock.h"
#include "agent.h"
#include "load.h"

static _Atomic uint64_t owned[OWN_TABLE / 64];
static _Atomic uint32_t locked;
_Atomic uint32_t own_users;

bool own_has(int fd)
{
    return (unsigned)fd < OWN_TABLE && atomic_load_explicit(&owned[fd / 64], memory_order_relaxed) >> fd % 64 & 1;
}

void own_add(int fd)
{
    if ((unsigned)fd < OWN_TABLE) {
        atomic_fetch_or(&owned[fd / 64], 1ULL << fd % 64);
    }
}

void own_remove(int fd)
{
    if ((unsigned)fd < OWN_TABLE) {
        atomic_fetch_and(&owned[fd / 64], ~(1ULL << fd % 64));
    }
}

void own_lock(void)
{
    int64_t until = 0;
    while (atomic_exchange(&locked, 1)) {
        int64_t now = now_ns();
        until = until ? until : now + 1000000000;
        if (now > until) {
            return; /* whoever has it is stopped, or was left in the middle */
        }
        sched_yield();
    }
}

void own_unlock(void)
{
    atomic_store(&locked, 0);
}

void own_await_users(void)
{
    for (int64_t until = now_ns() + 100000000; atomic_load(&own_users) && now_ns() < until;) {
        sched_yield();
    }
}

void own_vacate(int fd)
{
    int saved = errno;
    int moved = own_lift((int)REAL(syscall)(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0));
    if (moved < 0) {
        errno = saved;
        return;
    }
    load_moved(fd, moved);
    own_remove(fd);
    own_await_users();
    agent_wake();
    errno = saved;
}

int own_lift(int fd)
{
    struct rlimit limit;
    int top = OWN_TABLE;
    if (fd < 0) {
        return -1;
    }
    if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < OWN_TABLE) {
        top = (int)limit.rlim_cur;
    }
    /* Well above what programs use, low enough to leave room for one socket a stream. */
    int high = (int)REAL(syscall)(SYS_fcntl, fd, F_DUPFD_CLOEXEC, top - top / 4);
    if (high < 0) {
        high = (int)REAL(syscall)(SYS_fcntl, fd, F_DUPFD_CLOEXEC, top / 2);
    }
    int saved = errno;
    REAL(syscall)(SYS_close, fd);
    errno = saved;
    if (high >= OWN_TABLE) {
        REAL(syscall)(SYS_close, high);
        return -1;
    }
    own_add(high);
    return high;
}

void own_close(int fd)
{
    if (fd >= 0) {
        own_remove(fd);
        REAL(syscall)(SYS_close, fd);
    }
}

void own_drop(int *fd)
{
    own_close(*fd);
    *fd = -1;
}

void own_close_all(void)
{
    for (size_t i = 0; i < OWN_TABLE / 64; i++) {
        uint64_t bits = atomic_load(&owned[i]);
        for (int bit = 0; bits; bit++, bits >>= 1) {
            if (bits & 1) {
                own_close((int)i * 64 + bit);
            }
        }
    }
}

void own_forget(void)
{
    atomic_store(&own_users, 0);
    atomic_store(&locked, 0);
}
