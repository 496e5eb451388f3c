/* withdraw.c: see withdraw.h. */
#include "withdraw.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>

#include "calls.h"
#include "clock.h"
#include "exit.h"
#include "fork.h"
#include "above.h"
#include "agent.h"
#include "load.h"
#include "threads.h"

/* It takes 50 ms, and more on a machine that is busy; a thread that is left under a filter would end the process. */
#define PATIENCE_NS 5000000000LL

_Atomic uint32_t withdraw_silent;
static _Atomic uint32_t reason; /* enum ms_why */
static _Atomic uint32_t busy;

enum ms_why withdraw_reason(void)
{
    return atomic_load_explicit(&reason, memory_order_relaxed);
}

/* False: they do not end. */
static bool await_threads(const char *but)
{
    static const struct timespec moment = { 0, 1000000 };
    bool left;
    for (int64_t until = now_ns() + PATIENCE_NS; (left = threads_are_left(but)) && now_ns() < until;) {
        nanosleep(&moment, NULL);
    }
    return !left;
}

/* False: they are still there. */
static bool end_core(bool by_force)
{
    uint32_t state = atomic_load(&load_state);
    if (state == LOAD_NONE) {
        return true;
    }
    if (!fork_is_mine() || !fork_same_process() || (!by_force && stream_is_relaying()) || atomic_exchange(&busy, 1)) {
        return false;
    }
    load_call_off();
    for (int64_t until = now_ns() + PATIENCE_NS; atomic_load(&load_state) == LOAD_STARTING && now_ns() < until;) {
        load_wait();
    }
    unchunk_end_all();
    agent_ensure(); /* it puts back what is held */
    REAL(shutdown)(atomic_load(&load_channel), SHUT_RDWR);
    twin_end();
    threads_dismiss();
    bool gone = await_threads("midstream-exit");
    if (gone) {
        exit_unwatch();
        gone = await_threads(NULL);
    }
    if (gone) {
        load_release();
    }
    atomic_store(&busy, 0);
    return gone;
}

void withdraw(void)
{
    int saved = errno;
    end_core(false);
    errno = saved;
}

void withdraw_for_good(enum ms_why why)
{
    atomic_store(&reason, why);
    withdraw();
}

void withdraw_silently(void)
{
    int saved = errno;
    if (!atomic_exchange(&withdraw_silent, 1)) {
        end_core(true);
        attempts_withdraw();
        stream_forget_plain();
    }
    errno = saved;
}
