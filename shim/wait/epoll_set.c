/* epoll_set.c: see epoll_set.h. */
#include "epoll_set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/calls.h"
#include "process/clock.h"

/* The main thread may have ended, or have another table. */
#define OWN_FDS "/proc/thread-self/fd"
#define OWN_FDINFO "/proc/thread-self/fdinfo"

/* For so long a survey holds: of a thousand streams that are moved at once, not each needs one. */
#define SURVEY_NS 1000000000LL

static _Atomic bool ring;

bool epoll_has_ring(void)
{
    return atomic_load_explicit(&ring, memory_order_relaxed);
}

void epoll_note_ring(void)
{
    atomic_store(&ring, true);
}

static int open_quietly(const char *path, int flags)
{
    return (int)REAL(syscall)(SYS_openat, AT_FDCWD, path, flags | O_RDONLY | O_CLOEXEC);
}

/* struct linux_dirent64 (getdents64(2)) */
struct entry_of_folder {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static void look_at(int folder, const char *name, struct epoll_sets *sets)
{
    char link[32];
    long n = REAL(syscall)(SYS_readlinkat, folder, name, link, sizeof link - 1);
    link[n > 0 ? n : 0] = 0;
    if (!strcmp(link, "anon_inode:[io_uring]")) {
        epoll_note_ring();
    } else if (!strcmp(link, "anon_inode:[eventpoll]")) {
        sets->more = sets->more || sets->count == EPOLL_SETS;
        if (sets->count < EPOLL_SETS) {
            sets->fds[sets->count++] = atoi(name);
        }
    }
}

static bool survey(struct epoll_sets *sets)
{
    _Alignas(struct entry_of_folder) char buffer[1024];
    int folder = open_quietly(OWN_FDS, O_DIRECTORY);
    if (folder < 0) {
        return false;
    }
    sets->count = 0;
    sets->more = false;
    long n;
    while ((n = REAL(syscall)(SYS_getdents64, folder, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < n;) {
            const struct entry_of_folder *entry = (const void *)(buffer + at);
            if (entry->name[0] != '.') {
                look_at(folder, entry->name, sets);
            }
            at += entry->length;
        }
    }
    REAL(syscall)(SYS_close, folder);
    return n == 0;
}

bool epoll_survey(struct epoll_sets *sets)
{
    static struct epoll_sets last;
    static int64_t at;
    static _Atomic uint32_t busy;
    int saved = errno;
    int64_t now = coarse_now_ns();
    bool known = !atomic_exchange(&busy, 1);
    if (!known) {
        known = survey(sets); /* another thread, in a connection attempt, is at it */
    } else {
        if (!at || now - at > SURVEY_NS) {
            at = survey(&last) ? now : 0;
        }
        known = at;
        *sets = last;
        atomic_store(&busy, 0);
    }
    errno = saved;
    return known;
}

bool epoll_list(struct epoll_listing *listing, int epfd)
{
    int saved = errno;
    char path[sizeof OWN_FDINFO + 12];
    snprintf(path, sizeof path, OWN_FDINFO "/%d", epfd);
    listing->file = open_quietly(path, 0);
    listing->kept = listing->line = 0;
    errno = saved;
    return listing->file >= 0;
}

/* The next line, without its end; NULL: no more. */
static char *next_line(struct epoll_listing *l)
{
    for (;;) {
        char *line = l->text + l->line, *end = memchr(line, '\n', l->kept - l->line);
        if (end) {
            *end = 0;
            l->line = (size_t)(end + 1 - l->text);
            return line;
        }
        l->kept -= l->line;
        memmove(l->text, line, l->kept);
        l->line = 0;
        ssize_t n = REAL(read)(l->file, l->text + l->kept, sizeof l->text - l->kept);
        if (n <= 0) {
            return NULL;
        }
        l->kept += (size_t)n;
    }
}

/* "tfd:        7 events:     2019 data:                7  pos:0 ino:1c1f sdev:8" */
static bool parse(const char *line, struct epoll_entry *entry)
{
    const char *events = strstr(line, " events:"), *data = strstr(line, " data:"), *inode = strstr(line, " ino:");
    if (strncmp(line, "tfd:", 4) || !events || !data || !inode) {
        return false;
    }
    entry->fd = atoi(line + 4);
    entry->events = (uint32_t)strtoul(events + 8, NULL, 16);
    entry->data = strtoull(data + 6, NULL, 16);
    entry->inode = strtoull(inode + 5, NULL, 16);
    entry->fired = entry->events & EPOLLONESHOT && !(entry->events & (uint32_t)(EPOLLERR | EPOLLHUP));
    return true;
}

bool epoll_next(struct epoll_listing *listing, struct epoll_entry *entry)
{
    int saved = errno;
    char *line;
    bool found = false;
    while (!found && (line = next_line(listing))) {
        found = parse(line, entry);
    }
    if (!found) {
        REAL(syscall)(SYS_close, listing->file);
    }
    errno = saved;
    return found;
}
