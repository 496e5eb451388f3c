/* fork.c: what becomes of Midstream's state in a child; see fork.h. */
#include "fork.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stream/attempt.h"
#include "stream/caller.h"
#include "calls.h"
#include "stream/gate.h"
#include "agent.h"
#include "load.h"
#include "handover/handover.h"
#include "stream/stream.h"
#include "tls/tls.h"
#include "stream/unchunk.h"

_Atomic(uint32_t *) fork_page;

static _Atomic uint32_t children;
static _Atomic int owner;

static void before(void)
{
    load_wait();
    unchunk_end_all();
}

static void in_child(void)
{
    fork_forget();
}

static void in_parent(void)
{
    atomic_fetch_add(&children, 1);
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

/* Nobody takes the chunk framing out for a child: it is told ENOTCONN, and not handed a wrong octet. */
static void cut_off(int fd)
{
    int flags = REAL(fcntl)(fd, F_GETFD, NULL), none = REAL(socket)(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (none >= 0) {
        REAL(syscall)(SYS_dup3, none, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
        REAL(syscall)(SYS_close, none);
    }
}

void fork_forget(void)
{
    int saved = errno;
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        uint32_t stage = atomic_load(&s->stage);
        if (stage == STAGE_FREE) {
            continue;
        }
        if (stream_of(s->fd) == s) {
            stream_mark(s->fd, NULL);
            if (atomic_load(&s->present.unchunks)) {
                cut_off(s->fd);
            }
        }
        attempt_forget(s);
        atomic_store(&s->gate, 0);
        atomic_store(&s->inside, 0);
        atomic_store(&s->armed, 0);
        atomic_store(&s->due, 0);
        atomic_store(&s->untold, 0);
        atomic_store(&s->counters->stream, 0);
        atomic_store(&s->stage, STAGE_FREE);
    }
    atomic_store(&gates_closed, 0);
    atomic_store(&stream_open_count, 0);
    atomic_store(&attempts_open, 0);
    atomic_store(&stream_untold_count, 0);
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
