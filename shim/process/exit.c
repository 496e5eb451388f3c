/* exit.c: see exit.h. */
#include "exit.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#include "calls.h"
#include "load.h"
#include "clock.h"
#include "threads.h"

/* How often it is looked whether the process has threads of its own left: a sixteenth of the time that it has had none but those. */
#define LOOK_NS 2000000LL
#define LOOK_NS_MOST 250000000LL

/* Of struct pthread, in which the C library keeps the thread's id: that much is looked through. */
#define PTHREAD_OCTETS 1024

static _Atomic(const char *) main_thread; /* its struct pthread */
static _Atomic uint32_t main_leaves;      /* by a function of the C library's */
static _Atomic uint32_t watched;          /* the thread for that is there */
static _Atomic(_Atomic uint32_t *) waited; /* where the thread for all else sleeps */
static _Atomic uint32_t dismissed;

__attribute__((constructor)) static void note_main(void)
{
    atomic_store(&main_thread, (const char *)pthread_self());
}

/*
 * The word that the kernel clears when the main thread ends, and wakes sleepers of (set_tid_address(2)): pthread_join() sleeps
 * there. NULL where it is not found.
 */
static _Atomic uint32_t *main_word(void)
{
    const char *own = (const char *)pthread_self(), *other = atomic_load(&main_thread);
    uint32_t tid = (uint32_t)REAL(syscall)(SYS_gettid), pid = (uint32_t)getpid();
    for (size_t at = 0; other && at < PTHREAD_OCTETS; at += sizeof tid) {
        uint32_t here, there;
        memcpy(&here, own + at, sizeof here);
        memcpy(&there, other + at, sizeof there);
        if (here == tid && (there == pid || !there)) {
            return (_Atomic uint32_t *)(other + at);
        }
    }
    return NULL;
}

static void pause_for(int64_t nanoseconds)
{
    struct timespec pause = { nanoseconds / 1000000000, nanoseconds % 1000000000 };
    nanosleep(&pause, NULL);
}

/* What stands in a file of a thread's: the number of octets, 0 where there is none. */
static size_t read_task(const char *tid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%.16s/%s", tid, name);
    int file = (int)REAL(syscall)(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? 0 : REAL(read)(file, text, size - 1);
    if (file >= 0) {
        REAL(syscall)(SYS_close, file);
    }
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

/* Whether the main thread has ended, and then its exit status: proc(5), fields 3 and 52. */
static bool has_ended(int *status)
{
    char tid[16], text[1024];
    snprintf(tid, sizeof tid, "%d", getpid());
    char *at = read_task(tid, "stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    if (!at || (at[2] != 'Z' && at[2] != 'X')) {
        return false;
    }
    at += 2;
    for (int field = 3; at && field < 52; field++) {
        at = strchr(at, ' ');
        at += at ? 1 : 0;
    }
    *status = at ? atoi(at) >> 8 & 0xff : 0;
    return true;
}

static bool is_alone(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) {
        return false;
    }
    for (int64_t until = now_ns() + 1000000000; threads_are_starting() && now_ns() < until;) {
        sched_yield();
    }
    bool alone = true;
    char name[THREADS_NAME];
    for (struct dirent *task; alone && (task = readdir(tasks));) {
        if (task->d_name[0] != '.' && atoi(task->d_name) != getpid()) {
            alone = threads_owns(task->d_name, name);
        }
    }
    closedir(tasks);
    return alone;
}

static void *watch(void *orderly)
{
    threads_begin("midstream-exit");
    _Atomic uint32_t *word = main_word();
    int status = 0;
    bool last = true;
    if (!orderly) {
        atomic_store(&waited, word);
    }
    for (uint32_t tid; word && (tid = atomic_load(word));) {
        if (!orderly && atomic_load(&dismissed)) {
            return NULL;
        }
        REAL(syscall)(SYS_futex, word, FUTEX_WAIT, tid, NULL, NULL, 0);
    }
    if (word) {
        REAL(syscall)(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0); /* the kernel wakes one sleeper: others may join the thread */
    }
    int64_t since = now_ns();
    for (;;) {
        bool ended = has_ended(&status);
        if (!orderly && (atomic_load(&dismissed) || (ended && atomic_load(&main_leaves)))) {
            return NULL;
        }
        if (ended && is_alone()) {
            break;
        }
        last = !ended;
        int64_t wait = ended || word ? (now_ns() - since) / 16 : LOOK_NS_MOST;
        pause_for(wait < LOOK_NS ? LOOK_NS : wait > LOOK_NS_MOST ? LOOK_NS_MOST : wait);
    }
    if (orderly) {
        exit(0);
    }
    load_remove_control_socket();
    /* The status is that of the thread that ends last (Linux 5.19); the C library's own end with 0. */
    REAL(syscall)(SYS_exit_group, last ? status : 0);
    return NULL;
}

/* One that is its own table's needs little; exit() runs the program's handlers. */
#define STACK (64 * 1024 + PTHREAD_STACK_MIN)
#define STACK_OF_HANDLERS (8 * 1024 * 1024)

bool exit_watch(void)
{
    atomic_store(&dismissed, 0);
    return threads_start(watch, NULL, STACK);
}

void exit_unwatch(void)
{
    atomic_store(&dismissed, 1);
    _Atomic uint32_t *word = atomic_load(&waited);
    if (word) {
        REAL(syscall)(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
}

void exit_before_load(void)
{
    if (atomic_load(&main_leaves) && !atomic_exchange(&watched, 1)) {
        threads_start(watch, &main_leaves, STACK_OF_HANDLERS);
    }
}

/* The main thread is about to leave, or soon. */
static void note_leaving(void)
{
    atomic_store(&main_leaves, 1);
    if (atomic_load(&load_state) != LOAD_NONE) {
        exit_before_load();
    }
}

void exit_forget(void)
{
    atomic_store(&main_thread, (const char *)pthread_self());
    atomic_store(&main_leaves, 0);
    atomic_store(&watched, 0);
}

static bool is_main(pthread_t thread)
{
    return (const char *)thread == atomic_load(&main_thread);
}

EXPORT void pthread_exit(void *value)
{
    if (is_main(pthread_self())) {
        note_leaving();
    }
    REAL(pthread_exit)(value);
    __builtin_unreachable();
}

EXPORT void thrd_exit(int result)
{
    if (is_main(pthread_self())) {
        note_leaving();
    }
    REAL(thrd_exit)(result);
    __builtin_unreachable();
}

EXPORT int pthread_cancel(pthread_t thread)
{
    if (is_main(thread)) {
        note_leaving();
    }
    return REAL(pthread_cancel)(thread);
}
