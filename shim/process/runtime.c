/* runtime.c: see runtime.h. */
#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "calls.h"

/* Where root's midstreamd keeps what holds for all users. */
#define HOST_FOLDER "/run/midstream"

static long link_text(const char *path, char *text, size_t size)
{
    long length = REAL(syscall)(SYS_readlinkat, AT_FDCWD, path, text, size - 1);
    if (length > 0) {
        text[length] = 0;
    }
    return length;
}

/* A folder that nobody else can have put anything into. */
static bool is_own(const char *folder, bool closed)
{
    struct stat status;
    return !lstat(folder, &status) && S_ISDIR(status.st_mode) && status.st_uid == geteuid()
        && (!closed || !(status.st_mode & 077));
}

/* The runtime folder, by the rules of core/control/dir.go. */
static bool find_folder(char *folder, size_t size)
{
    const char *given = getenv("MIDSTREAM_RUNTIME_DIR");
    const char *base = getenv("XDG_RUNTIME_DIR");
    char own[64];
    if (given && *given) {
        return (size_t)snprintf(folder, size, "%s", given) < size;
    }
    if (!base || !*base || !is_own(base, false)) {
        unsigned user = (unsigned)geteuid();
        base = own;
        snprintf(own, sizeof own, "/run/user/%u", user);
        if (!is_own(base, false)) {
            return (size_t)snprintf(folder, size, "/tmp/midstream-%u", user) < size;
        }
    }
    return (size_t)snprintf(folder, size, "%s/midstream", base) < size;
}

long runtime_link(const char *link, char *text, size_t size, char folder[RUNTIME_FOLDER_MAX])
{
    char path[256];
    if (!find_folder(folder, RUNTIME_FOLDER_MAX)) {
        return 0;
    }
    snprintf(path, sizeof path, "%s/%s", folder, link);
    long length = link_text(path, text, size);
    if (length > 0) {
        return is_own(folder, true) ? length : 0;
    }
    const char *given = getenv("MIDSTREAM_RUNTIME_DIR");
    if (given && *given) {
        return 0;
    }
    strcpy(folder, HOST_FOLDER);
    snprintf(path, sizeof path, "%s/%s", folder, link);
    length = link_text(path, text, size);
    return length > 0 ? length : 0;
}

bool runtime_is_served(const char *folder)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    if ((size_t)snprintf(name.sun_path, sizeof name.sun_path, "%s/midstreamd.sock", folder) >= sizeof name.sun_path) {
        return false;
    }
    int fd = (int)REAL(syscall)(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    bool served = !REAL(syscall)(SYS_connect, fd, &name, sizeof name) || errno == EAGAIN;
    REAL(syscall)(SYS_close, fd);
    return served;
}
