/*
 * load.c: brings the Go core into the process.
 *
 *   1. The thread that sent the first GET makes the channel and starts the helper, with every signal blocked; it
 *      does not wait for it.
 *   2. The helper leaves the program's descriptor table, closes everything but its end of the channel, and
 *      only then, and a moment later, opens the core: Go's threads descend from it, so the program's descriptors and Go's never meet.
 *   3. The agent, started likewise, serves the core's messages in the program's table while it is needed (handover/serve.c).
 *
 * In a forked child the loader would hand out the parent's mapped core again, dead: the child opens a copy.
 */
#include "load.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "at_once.h"
#include "calls.h"
#include "clock.h"
#include "exit.h"
#include "fork.h"
#include "above.h"
#include "agent.h"
#include "own.h"
#include "settings.h"
#include "room.h"
#include "threads.h"
#include "withdraw.h"

_Atomic uint32_t load_state;
_Atomic int load_channel = -1;
struct ms_shared shared;

/* 1 once the helper has a table of its own, 2 when it failed to get one. */
static _Atomic uint32_t separated;
/*
 * Whether the helper is on its way to where it waits for a moment before it opens the core, waits, opens it, or will not. Who takes it from
 * the first two decides. While it waits, forks that are under way keep it waiting (load_pause): they are counted above those, and HASTE
 * says that it is to open when they are over.
 */
enum { BEGINNING, SETTLING, OPENING, CALLED_OFF };
#define STATE 0xff
#define HASTE 0x100
#define FORK 0x200
static _Atomic uint32_t opening;
/* In so many of which this thread is: a signal handler may fork amid a fork. */
static _Thread_local unsigned pauses;
/* 1 once there is a channel, or there will be none. */
static _Atomic uint32_t channel_made;

static int core_end = -1; /* changed with own_lock, once it is the helper's */
static bool need_copy;

static _Atomic uint64_t namespace; /* the core's, 0 unknown */

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Of the network namespace that the socket is in (SO_NETNS_COOKIE, Linux 5.14); 0 unknown. */
static uint64_t namespace_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    return REAL(getsockopt)(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) ? 0 : cookie;
}

bool load_is_near(int fd)
{
    uint64_t own = atomic_load(&namespace), its = own ? namespace_of(fd) : 0;
    return !own || !its || own == its;
}

void load_moved(int fd, int moved)
{
    int was = fd;
    if (!atomic_compare_exchange_strong(&load_channel, &was, moved)) {
        was = fd;
        atomic_compare_exchange_strong(&agent_event, &was, moved);
    }
    if (core_end == fd) {
        core_end = moved;
    }
    stream_moved(fd, moved);
    twin_vacate(fd, moved);
}

static void set(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    REAL(syscall)(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void wait_while(_Atomic uint32_t *word, uint32_t value, int64_t nanoseconds)
{
    int64_t until = now_ns() + nanoseconds;
    while (atomic_load(word) == value) {
        int64_t left = until - now_ns();
        if (left <= 0) {
            return;
        }
        struct timespec wait = { left / 1000000000, left % 1000000000 };
        REAL(syscall)(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &wait, NULL, 0);
    }
}

/* It takes 10 ms, and much longer on a machine where many start at once. */
#define STARTING_NS 3000000000LL

static void decide(uint32_t what)
{
    uint32_t is = atomic_load(&opening), next;
    do {
        if ((is & STATE) > SETTLING) {
            return;
        }
        next = what == OPENING && is >= FORK ? is | HASTE : what;
    } while (!atomic_compare_exchange_weak(&opening, &is, next));
    REAL(syscall)(SYS_futex, &opening, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void load_call_off(void)
{
    decide(CALLED_OFF);
}

void load_hasten(void)
{
    decide(OPENING);
}

void load_wait(void)
{
    int saved = errno;
    load_hasten();
    if (!pauses) { /* else this thread is in a fork, which is what the core waits for */
        wait_while(&load_state, LOAD_STARTING, STARTING_NS);
    }
    errno = saved;
}

bool load_is_paused(void)
{
    uint32_t is = atomic_load(&opening);
    return (is & STATE) == SETTLING && is >= FORK && !pauses;
}

void load_pause(void)
{
    int saved = errno;
    if (atomic_load(&load_state) == LOAD_STARTING) {
        wait_while(&opening, BEGINNING, STARTING_NS);
    }
    uint32_t is = atomic_load(&opening);
    bool settling;
    while ((settling = (is & STATE) == SETTLING) && !atomic_compare_exchange_weak(&opening, &is, is + FORK)) {
    }
    if (settling) {
        pauses++;
    } else {
        load_wait();
    }
    errno = saved;
}

void load_go_on(void)
{
    if (!pauses) {
        return;
    }
    pauses--;
    uint32_t is = atomic_load(&opening), next;
    do {
        if ((is & STATE) != SETTLING || is < FORK) {
            return; /* it has been called off */
        }
        next = is - FORK;
        next = next == (SETTLING | HASTE) ? OPENING : next;
    } while (!atomic_compare_exchange_weak(&opening, &is, next));
    REAL(syscall)(SYS_futex, &opening, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* A table of its own for this thread and all that Go will start from it, with the core's end of the channel. */
static bool separate(int *channel)
{
    own_lock(); /* the program may choose its number until then (own_vacate) */
    int keep = *channel = core_end;
    bool own = !REAL(unshare)(CLONE_FILES);
    own_unlock();
    if (!own) {
        return false;
    }
    if (keep > 0) {
        REAL(syscall)(SYS_close_range, 0, keep - 1, 0);
    }
    REAL(syscall)(SYS_close_range, keep + 1, ~0U, 0);
    int null = (int)REAL(syscall)(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
    for (int fd = null + 1; null >= 0 && fd <= 2; fd++) {
        REAL(syscall)(SYS_fcntl, null, F_DUPFD, fd);
    }
    int low = (int)REAL(syscall)(SYS_fcntl, keep, F_DUPFD_CLOEXEC, 3);
    if (low >= 0) {
        REAL(syscall)(SYS_close, keep);
        *channel = low;
    }
    return true;
}

/* The path of a copy of the core that the loader has not seen yet. */
static bool copy_core(char *path, size_t size)
{
    int from = (int)REAL(syscall)(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    int to = (int)REAL(syscall)(SYS_memfd_create, "midstream-core", MFD_CLOEXEC);
    struct stat status;
    bool good = from >= 0 && to >= 0 && !fstat(from, &status);
    for (off_t left = good ? status.st_size : 0; good && left > 0;) {
        ssize_t n = REAL(sendfile)(to, from, NULL, (size_t)left);
        good = n > 0;
        left -= n;
    }
    if (from >= 0) {
        REAL(syscall)(SYS_close, from);
    }
    snprintf(path, size, "/proc/thread-self/fd/%d", to);
    return good;
}

/* The core's library lies beside this one. */
static bool core_path(char *path, size_t size)
{
    Dl_info info;
    if (!dladdr((void *)load_start, &info) || !info.dli_fname) {
        return false;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    size_t folder = slash ? (size_t)(slash - info.dli_fname) + 1 : 0;
    return (size_t)snprintf(path, size, "%.*slibmidstream-core.so", (int)folder, info.dli_fname) < size;
}

static bool open_core(int channel)
{
    static char path[PATH_MAX];
    if (!core_path(path, sizeof path) || (need_copy && !copy_core(path, sizeof path))) {
        return false;
    }
    need_copy = true; /* the next time */
    void *core = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    typedef __typeof__(midstream_core_start) entry;
    entry *start = core ? (entry *)dlsym(core, "midstream_core_start") : NULL;
    if (!start) {
        return false;
    }
    shared.version = MS_ABI_VERSION;
    shared.pid = getpid();
    return start(channel, &shared, tail_memory()) == 0;
}

/*
 * Most first exchanges of a process are over in less time, and a runtime that starts beside them takes the processor from the
 * very reader that it is for. What is said to the core meanwhile waits in the channel; a failure does not wait (load_wait).
 */
#define SETTLING_NS 100000000LL

/* Waits for that moment, unless somebody cannot, and for forks that are under way. False: the core is not to be opened. */
static bool settle(void)
{
    uint32_t is = BEGINNING;
    if (atomic_compare_exchange_strong(&opening, &is, SETTLING)) {
        REAL(syscall)(SYS_futex, &opening, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
    for (int64_t until = now_ns() + SETTLING_NS; ((is = atomic_load(&opening)) & STATE) == SETTLING;) {
        int64_t left = until - now_ns();
        if (left <= 0 && !(is & HASTE)) {
            decide(OPENING);
        } else {
            wait_while(&opening, is, left > 0 ? left : INT64_MAX / 2);
        }
    }
    return is == OPENING;
}

static void *helper_main(void *unused)
{
    (void)unused;
    int channel;
    threads_begin("midstream");
    bool good = separate(&channel);
    set(&separated, good ? 1 : 2);
    good = good && exit_watch();
    if (!good) {
        decide(CALLED_OFF);
    }
    good = good && settle() && threads_prepare() && open_core(channel);
    if (!good && atomic_load(&separated) == 1) {
        REAL(syscall)(SYS_close, channel); /* the agent reads the end of the channel and ends */
    }
    set(&load_state, good ? LOAD_UP : LOAD_FAILED);
    return NULL;
}

void load_part_with_core(void)
{
    if (core_end >= 0) {
        wait_while(&separated, 0, INT64_MAX / 2);
        own_lock();
        own_close(core_end);
        core_end = -1;
        own_unlock();
    }
}

static bool start(void)
{
    int ends[2] = { -1, -1 };
    at_once_look();
    exit_before_load();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) {
        return false;
    }
    atomic_store(&namespace, namespace_of(ends[0]));
    int room = 4 * 1024 * 1024;
    REAL(setsockopt)(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    REAL(setsockopt)(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    int shim_end = own_lift(ends[0]);
    core_end = own_lift(ends[1]);
    int event = own_lift(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    atomic_store(&separated, 0);
    atomic_store(&opening, BEGINNING);
    bool good = shim_end >= 0 && core_end >= 0 && event >= 0;
    if (good) {
        atomic_store(&load_channel, shim_end);
        atomic_store(&agent_event, event);
        good = threads_start(helper_main, NULL, 256 * 1024);
    }
    if (!good) {
        own_close(shim_end);
        own_close(core_end);
        core_end = -1;
        own_close(event);
        atomic_store(&load_channel, -1);
        atomic_store(&agent_event, -1);
    }
    return good;
}

/*
 * Before this library's constructor has run, the loader is still busy with the program's own libraries.
 */
static _Atomic uint32_t initialised;

__attribute__((constructor)) static void note_initialised(void)
{
    atomic_store(&initialised, 1);
}

/* At the process's first request, for the digest of an answer begins with its first octet: places for framing/digest.h, below its prime. */
static void make_digest_keys(void)
{
    uint64_t keys[2];
    if (!settings_whole_proof() || REAL(syscall)(SYS_getrandom, keys, sizeof keys, 0) != (long)sizeof keys) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        uint64_t none = 0;
        atomic_compare_exchange_strong(&shared.digest_keys[i], &none, keys[i] >> 3 | 1);
    }
}

#define CHANNEL_PATIENCE_NS 100000000LL

bool load_start(void)
{
    uint32_t none = LOAD_NONE;
    if (!atomic_load(&initialised) || withdraw_is_silent() || (atomic_load(&load_state) == LOAD_NONE && !room_for_core())) {
        return false;
    }
    if (atomic_compare_exchange_strong(&load_state, &none, LOAD_STARTING)) {
        int saved = errno;
        make_digest_keys();
        if (!start()) {
            set(&load_state, LOAD_FAILED);
        }
        set(&channel_made, 1);
        agent_ensure();
        errno = saved;
    } else if (!atomic_load(&channel_made)) {
        /* Another thread's first GET is a moment ahead. */
        int saved = errno;
        wait_while(&channel_made, 0, CHANNEL_PATIENCE_NS);
        errno = saved;
    }
    return atomic_load(&load_state) != LOAD_FAILED;
}

/* Nothing of Midstream's uses its descriptors any more. */
static void drop_all(void)
{
    own_close_all();
    atomic_store(&agent_there, 0);
    atomic_store(&namespace, 0);
    core_end = -1;
    atomic_store(&channel_made, 0);
    shared.control_path[0] = 0;
    atomic_store(&shared.guard_new, 0);
    atomic_store(&shared.looks, 0);
    atomic_store(&shared.by_issuer, 0);
    atomic_store(&shared.use_index, MS_USE_ALL);
    atomic_store(&shared.order[0], 0);
    atomic_store(&load_state, LOAD_NONE);
}

void load_release(void)
{
    atomic_store(&load_channel, -1);
    atomic_store(&agent_event, -1);
    own_await_users();
    load_remove_control_socket();
    handover_forget();
    drop_all();
}

void load_forget(void)
{
    pauses = 0;
    atomic_store(&opening, CALLED_OFF);
    if (atomic_load(&load_state) == LOAD_NONE) {
        return;
    }
    atomic_store(&load_channel, -1);
    atomic_store(&agent_event, -1);
    own_forget();
    threads_forget();
    exit_forget();
    drop_all();
}

/* The control socket of a process that is no more is of no use to anybody. */
__attribute__((destructor)) void load_remove_control_socket(void)
{
    if (shared.control_path[0] && shared.pid == getpid()) {
        unlink(shared.control_path);
    }
}
