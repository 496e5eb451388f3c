/* room.c: see room.h. */
#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "lines.h"

/* Addresses that Go reserves, most of which it never uses: 1.7 GB. */
#define ADDRESSES (2ULL << 30)

/* What can be written to of them, and is counted by RLIMIT_DATA or where nothing is overcommitted: 80 MB. */
#define DATA (256ULL << 20)

static bool can_map(size_t size, int protection)
{
    void *room = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return room != MAP_FAILED && !munmap(room, size);
}

/* VmLck of proc(5), in kB; -1: there is no /proc to tell. */
static long locked_kb(void)
{
    struct lines l;
    long kb = -1;
    if (lines_open(&l, "/proc/self/status")) {
        while (kb < 0 && lines_next(&l)) {
            if (!strncmp(l.line, "VmLck:", 6)) {
                kb = atol(l.line + 6);
            }
        }
        lines_close(&l);
    }
    return kb;
}

/*
 * mlockall(MCL_FUTURE): all that is mapped is filled with memory, which would be that of the whole of Go's heap. It is not asked for by
 * mincore(2), for which the filters of system calls that services have would end the program.
 */
static bool is_locked(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    long before = locked_kb();
    void *room = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) {
        return true;
    }
    bool locked = locked_kb() > before;
    munmap(room, page);
    return locked;
}

/* What is left of a limit of which so much is in use by /proc/self/statm: proc(5); field 0 is all, 5 data and stack. */
static uint64_t left(int which, int field)
{
    struct rlimit limit;
    char text[200];
    char *at = text;
    if (getrlimit((__rlimit_resource_t)which, &limit) || limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    int file = (int)REAL(syscall)(SYS_openat, AT_FDCWD, "/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? 0 : REAL(read)(file, text, sizeof text - 1);
    if (file >= 0) {
        REAL(syscall)(SYS_close, file);
    }
    text[n > 0 ? n : 0] = 0;
    for (int i = 0; i < field; i++) {
        strtoul(at, &at, 10);
    }
    char *end = at;
    uint64_t used = (uint64_t)strtoul(at, &end, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (end == at) {
        return 0; /* there is no /proc to tell */
    }
    return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

bool room_for_core(void)
{
    int saved = errno;
    bool room = left(RLIMIT_AS, 0) > ADDRESSES && left(RLIMIT_DATA, 5) > DATA && can_map(ADDRESSES, PROT_NONE) && !is_locked()
        && can_map(DATA, PROT_READ | PROT_WRITE);
    errno = saved;
    return room;
}
