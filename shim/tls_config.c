/*
 * tls_config.c: the one setting that is needed before the core is there: tls.http2. The file is found as the core finds it
 * (core/config/find.go), and is read no further than for this key: whether it is valid is the core's to say.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "tls.h"

/* No more of the file is looked at, in octets. */
#define LOOKED_AT 65536

static int open_file(void)
{
    char path[PATH_MAX];
    const char *given = getenv("MIDSTREAM_CONFIG"), *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (given && *given) {
        return (int)REAL(syscall)(SYS_openat, AT_FDCWD, given, O_RDONLY | O_CLOEXEC);
    }
    int n = -1;
    if (folder && *folder == '/') {
        n = snprintf(path, sizeof path, "%s/midstream/config.toml", folder);
    } else if (home && *home == '/') {
        n = snprintf(path, sizeof path, "%s/.config/midstream/config.toml", home);
    }
    int fd = n > 0 && n < (int)sizeof path ? (int)REAL(syscall)(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    return fd >= 0 ? fd : (int)REAL(syscall)(SYS_openat, AT_FDCWD, "/etc/midstream/config.toml", O_RDONLY | O_CLOEXEC);
}

static const char *skip_space(const char *text)
{
    while (*text == ' ' || *text == '\t') {
        text++;
    }
    return text;
}

/* Whether a line sets the key to "keep" (TOML 1.0). `in_table`: [tls] is the present table. */
static bool keeps(const char *line, bool *in_table)
{
    line = skip_space(line);
    if (*line == '[') {
        line = skip_space(line + 1);
        *in_table = !strncmp(line, "tls", 3) && *skip_space(line + 3) == ']';
        return false;
    }
    if (!strncmp(line, "tls.", 4)) {
        line += 4;
    } else if (!*in_table) {
        return false;
    }
    if (strncmp(line, "http2", 5)) {
        return false;
    }
    line = skip_space(line + 5);
    if (*line != '=') {
        return false;
    }
    line = skip_space(line + 1);
    return !strncmp(line, "\"keep\"", 6) || !strncmp(line, "'keep'", 6);
}

static bool look(void)
{
    bool keep = false, in_table = false;
    int fd = open_file();
    char *text = fd >= 0 ? malloc(LOOKED_AT + 1) : NULL;
    ssize_t length = text ? REAL(read)(fd, text, LOOKED_AT) : -1;
    if (length > 0) {
        text[length] = 0;
        char *rest = text;
        for (char *line; !keep && (line = strsep(&rest, "\n"));) {
            keep = keeps(line, &in_table);
        }
    }
    free(text);
    if (fd >= 0) {
        REAL(syscall)(SYS_close, fd);
    }
    return keep;
}

bool tls_avoids_h2(void)
{
    static _Atomic int known; /* 0: not looked yet, 1: avoid, 2: keep */
    int is = atomic_load(&known);
    if (!is) {
        int saved = errno;
        is = look() ? 2 : 1;
        atomic_store(&known, is);
        errno = saved;
    }
    return is == 1;
}
