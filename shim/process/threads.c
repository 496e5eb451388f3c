/* threads.c: see threads.h. */
#include "threads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../cgo/guest.h"
#include "calls.h"

/* Go starts with five, and needs another for each system call of its own that blocks while there is work. */
#define PREPARED 8

/* So many sleep at any time, as long as there is room for them. */
#define RESERVE 2

/* What the core can have at most. */
#define MOST 256

enum { FREE, ASLEEP, CLAIMED, AT_WORK, DISMISSED };

static struct thread {
    _Atomic uint32_t state; /* a futex */
    void *(*function)(void *);
    void *argument;
} threads[MOST];

static _Atomic int nameless;

void threads_begin(const char *name)
{
    REAL(syscall)(SYS_prctl, PR_SET_NAME, name, 0, 0, 0);
    atomic_fetch_sub(&nameless, 1);
}

bool threads_are_starting(void)
{
    return atomic_load(&nameless) > 0;
}

bool threads_start(void *(*function)(void *), void *argument, size_t stack)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes)) {
        return false;
    }
    sigfillset(&all);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_fetch_add(&nameless, 1);
    int error = pthread_create(&thread, &attributes, function, argument);
    if (error == EINVAL) {
        /* The program's own thread-local variables leave nothing of a small stack. */
        pthread_attr_setstacksize(&attributes, 8 * stack);
        error = pthread_create(&thread, &attributes, function, argument);
    }
    if (error) {
        atomic_fetch_sub(&nameless, 1);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return !error;
}

static void *thread_main(void *own)
{
    struct thread *t = own;
    threads_begin("midstream");
    for (uint32_t state; (state = atomic_load(&t->state)) != AT_WORK;) {
        if (state == DISMISSED) {
            atomic_store(&t->state, FREE);
            return NULL;
        }
        REAL(syscall)(SYS_futex, &t->state, FUTEX_WAIT_PRIVATE, state, NULL, NULL, 0);
    }
    t->function(t->argument);
    atomic_store(&t->state, FREE);
    return NULL;
}

static struct thread *find(uint32_t state, uint32_t then)
{
    for (int i = 0; i < MOST; i++) {
        uint32_t was = state;
        if (atomic_load_explicit(&threads[i].state, memory_order_relaxed) == state
            && atomic_compare_exchange_strong(&threads[i].state, &was, then)) {
            return &threads[i];
        }
    }
    return NULL;
}

static int count_asleep(void)
{
    int n = 0;
    for (int i = 0; i < MOST; i++) {
        n += atomic_load_explicit(&threads[i].state, memory_order_relaxed) == ASLEEP;
    }
    return n;
}

/* Has so many asleep. False: there is no room for them. */
static bool make(int wanted)
{
    for (int n = count_asleep(); n < wanted; n++) {
        struct thread *t = find(FREE, CLAIMED);
        if (!t) {
            return false;
        }
        if (!threads_start(thread_main, t, MS_THREAD_STACK + PTHREAD_STACK_MIN)) {
            atomic_store(&t->state, FREE);
            return false;
        }
        atomic_store(&t->state, ASLEEP);
    }
    return true;
}

bool threads_prepare(void)
{
    return make(PREPARED);
}

EXPORT int midstream_thread(void *(*function)(void *), void *argument)
{
    make(RESERVE + 1);
    struct thread *t = find(ASLEEP, CLAIMED);
    if (!t) {
        return EAGAIN;
    }
    t->function = function;
    t->argument = argument;
    atomic_store(&t->state, AT_WORK);
    REAL(syscall)(SYS_futex, &t->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return 0;
}

void threads_dismiss(void)
{
    for (struct thread *t; (t = find(ASLEEP, DISMISSED));) {
        REAL(syscall)(SYS_futex, &t->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

bool threads_owns(const char *tid, char name[THREADS_NAME])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%.16s/comm", tid);
    int file = (int)REAL(syscall)(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? 0 : REAL(read)(file, name, THREADS_NAME - 1);
    if (file >= 0) {
        REAL(syscall)(SYS_close, file);
    }
    name[n > 0 ? n : 0] = 0;
    return n <= 0 || !strncmp(name, "midstream", 9);
}

bool threads_are_left(const char *but)
{
    char name[THREADS_NAME];
    DIR *tasks = opendir("/proc/self/task");
    bool left = threads_are_starting();
    for (struct dirent *task; tasks && !left && (task = readdir(tasks));) {
        left = task->d_name[0] != '.' && atoi(task->d_name) != (int)getpid() && threads_owns(task->d_name, name)
            && (!but || strncmp(name, but, strlen(but))) && !REAL(syscall)(SYS_tgkill, getpid(), atoi(task->d_name), 0);
    }
    if (tasks) {
        closedir(tasks);
    }
    return left;
}

void threads_forget(void)
{
    atomic_store(&nameless, 0);
    for (int i = 0; i < MOST; i++) {
        atomic_store(&threads[i].state, FREE);
    }
}
