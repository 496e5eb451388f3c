/*
 * exit.c: a process whose main thread has left by pthread_exit() ends, with status 0, when its last thread does
 * (pthread_exit(3)). Midstream's own threads must not keep it alive.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "exit.h"
#include "hand.h"
#include "load.h"

static _Atomic uint32_t main_has_left;

EXPORT void pthread_exit(void *value)
{
    if (REAL(syscall)(SYS_gettid) == getpid()) {
        atomic_store(&main_has_left, 1);
        if (atomic_load(&load_state) != LOAD_NONE) {
            hand_ensure();
            hand_wake();
        }
    }
    REAL(pthread_exit)(value);
    __builtin_unreachable();
}

bool exit_is_near(void)
{
    return atomic_load(&main_has_left);
}

/* Midstream's threads, Go's included, have a name that begins so: it is inherited from the helper. */
static bool is_ours(const char *tid)
{
    char path[64], name[16] = "";
    snprintf(path, sizeof path, "/proc/self/task/%.16s/comm", tid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return true; /* gone already */
    }
    size_t n = fread(name, 1, sizeof name - 1, file);
    fclose(file);
    name[n] = 0;
    return !strncmp(name, "midstream", 9);
}

void exit_if_alone(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) {
        return;
    }
    bool alone = true;
    for (struct dirent *task; alone && (task = readdir(tasks));) {
        if (task->d_name[0] != '.' && atoi(task->d_name) != getpid()) {
            alone = is_ours(task->d_name);
        }
    }
    closedir(tasks);
    if (alone) {
        exit(0);
    }
}
