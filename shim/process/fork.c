/* fork.c: what becomes of Midstream's state in a child; see fork.h. */
#include "fork.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "above.h"
#include "calls.h"
#include "load.h"

_Atomic(uint32_t *) fork_page;

static _Atomic uint32_t children;
static _Atomic int owner;

static void before(void)
{
    load_pause();
    unchunk_end_all();
    attempts_withdraw();
}

static void in_child(void)
{
    fork_forget();
}

static void in_parent(void)
{
    atomic_fetch_add(&children, 1);
    load_go_on();
}

static void make_page(void)
{
    uint32_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) {
        *page = 1;
        if (madvise(page, 4096, MADV_WIPEONFORK)) {
            munmap(page, 4096);
            return;
        }
        atomic_store(&fork_page, page);
    }
}

void fork_watch(void)
{
    static _Atomic uint32_t done;
    if (atomic_load(&done) || atomic_exchange(&done, 1)) {
        return;
    }
    int saved = errno;
    atomic_store(&owner, getpid());
    make_page();
    pthread_atfork(before, in_parent, in_child);
    errno = saved;
}

void fork_forget(void)
{
    int saved = errno;
    stream_forget_all();
    caller_forget();
    handover_forget();
    load_forget();
    tls_forget();
    atomic_store(&owner, getpid());
    uint32_t *page = atomic_load(&fork_page);
    if (page) {
        *page = 1;
    }
    errno = saved;
}

bool fork_same_process(void)
{
    int saved = atomic_load(&owner);
    return !saved || saved == getpid();
}

uint32_t fork_children(void)
{
    return atomic_load(&children);
}
