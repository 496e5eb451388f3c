/* target.c: see target.h. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../ctl/midstream/launcher/elf.h"
#include "notice.h"

/* Threads of which something is kept. */
#define TARGETS 128

static struct target targets[TARGETS];
static uint64_t uses;

static void forget(struct target *t)
{
    if (t->thread) {
        close(t->folder);
        if (t->handle >= 0) {
            close(t->handle);
        }
    }
    memset(t, 0, sizeof *t);
}

/* What changes with each execve(2): where things lie in memory (AT_RANDOM, AT_PHDR, …: getauxval(3)), and the file. False: it is not there, or closed. */
static bool identify(int folder, uint64_t *program)
{
    uint64_t words[64];
    struct stat file;
    int fd = openat(folder, "auxv", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, words, sizeof words) : -1;
    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        return false;
    }
    memset(program, 0, 4 * sizeof *program);
    for (size_t i = 0; i < (size_t)n / sizeof *words; i++) {
        program[i % 2] = program[i % 2] * 0x9e3779b97f4a7c15ULL + words[i];
    }
    if (!fstatat(folder, "exe", &file, 0)) {
        program[2] = file.st_ino;
        program[3] = file.st_dev;
    }
    return true;
}

static pid_t process_of(int folder)
{
    char text[512];
    int fd = openat(folder, "status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    text[n > 0 ? n : 0] = 0;
    const char *line = strstr(text, "\nTgid:");
    return line ? atoi(line + 6) : 0;
}

/* Whether a file of this name is among what the process has mapped. */
static bool has_mapped(int folder, const char *name)
{
    char text[4096 + 64];
    size_t kept = 0, length = strlen(name);
    bool found = false;
    int fd = openat(folder, "maps", O_RDONLY | O_CLOEXEC);
    for (ssize_t n; !found && fd >= 0 && (n = read(fd, text + kept, sizeof text - kept)) > 0;) {
        size_t have = kept + (size_t)n;
        found = memmem(text, have, name, length);
        kept = have < length ? have : length;
        memmove(text, text + have - kept, kept);
    }
    if (fd >= 0) {
        close(fd);
    }
    return found;
}

static bool is_go(int folder)
{
    struct elf elf;
    int fd = openat(folder, "exe", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool go = fd >= 0 && elf_read(fd, &elf) && elf.go;
    if (fd >= 0) {
        close(fd);
    }
    return go;
}

/* Go makes its calls past the C library, whatever is preloaded. */
static bool serves_itself(int folder) { return has_mapped(folder, "/libmidstream.so") && !is_go(folder); }

static struct target *place_of(pid_t thread)
{
    struct target *oldest = targets;
    for (struct target *t = targets; t < targets + TARGETS; t++) {
        if (t->thread == thread) {
            return t;
        }
        oldest = t->used < oldest->used ? t : oldest;
    }
    forget(oldest);
    return oldest;
}

static bool learn(struct target *t, pid_t thread)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", (int)thread);
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return false;
    }
    t->thread = thread;
    t->folder = folder;
    t->process = process_of(folder);
    t->handle = t->process > 0 ? (int)syscall(SYS_pidfd_open, t->process, 0) : -1;
    if (t->handle < 0 || !identify(folder, t->program)) {
        forget(t);
        return false;
    }
    t->serves_itself = serves_itself(folder);
    return true;
}

struct target *target_of(const struct notice *n)
{
    pid_t thread = (pid_t)n->call.pid;
    uint64_t program[4];
    if (thread <= 0) {
        return NULL; /* it is in a namespace of process numbers that cannot be seen from here */
    }
    struct target *t = place_of(thread);
    if (t->thread && !identify(t->folder, program)) {
        forget(t); /* the thread has ended, and its number is another's */
    }
    if (!t->thread) {
        if (!learn(t, thread)) {
            return NULL;
        }
    } else if (memcmp(program, t->program, sizeof program)) {
        memcpy(t->program, program, sizeof program);
        t->serves_itself = serves_itself(t->folder);
    }
    t->used = ++uses;
    return notice_is_valid(n) ? t : NULL;
}

/* A thread may have a table of descriptors of its own (CLONE_FILES): only that of the process can be reached. */
static bool shares_descriptors(const struct target *t)
{
    return t->thread == t->process || syscall(SYS_kcmp, t->thread, t->process, KCMP_FILES, 0, 0) == 0 || errno == ENOSYS;
}

int target_take(const struct target *t, int fd)
{
    return shares_descriptors(t) ? (int)syscall(SYS_pidfd_getfd, t->handle, fd, 0) : -1;
}

void target_give_back(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

int target_take_of(pid_t process, int fd)
{
    int handle = (int)syscall(SYS_pidfd_open, process, 0);
    int taken = handle >= 0 ? (int)syscall(SYS_pidfd_getfd, handle, fd, 0) : -1;
    if (handle >= 0) {
        close(handle);
    }
    return taken;
}

bool target_read(const struct target *t, uint64_t address, void *to, size_t size)
{
    struct iovec here = { to, size }, there = { (void *)(uintptr_t)address, size };
    return !size || process_vm_readv(t->thread, &here, 1, &there, 1, 0) == (ssize_t)size;
}

bool target_write(const struct target *t, uint64_t address, const void *from, size_t size)
{
    struct iovec here = { (void *)(uintptr_t)from, size }, there = { (void *)(uintptr_t)address, size };
    return !size || process_vm_writev(t->thread, &here, 1, &there, 1, 0) == (ssize_t)size;
}

uint64_t target_network(const struct target *t)
{
    struct stat network;
    return fstatat(t->folder, "ns/net", &network, 0) ? 0 : network.st_ino;
}
