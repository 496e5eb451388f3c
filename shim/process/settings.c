/* settings.c: see settings.h. */
#include "settings.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"

/* No more of a file is looked at, in octets: it may be one that never ends. */
#define LOOKED_AT (1 << 20)

/* A FIFO would block the program otherwise. */
static int open_file(const char *path)
{
    return (int)REAL(syscall)(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static void begin(struct lines *l, int fd)
{
    l->fd = fd;
    l->at = l->have = 0;
    l->left = LOOKED_AT;
}

bool lines_open(struct lines *l, const char *path)
{
    begin(l, open_file(path));
    return l->fd >= 0;
}

bool lines_next(struct lines *l)
{
    size_t length = 0;
    for (;;) {
        if (l->at == l->have) {
            ssize_t n = l->left ? REAL(read)(l->fd, l->buffer, sizeof l->buffer < l->left ? sizeof l->buffer : l->left) : 0;
            l->at = 0;
            l->have = n > 0 ? (size_t)n : 0;
            l->left -= l->have;
            if (n <= 0) {
                l->line[length] = 0;
                return length > 0;
            }
        }
        char c = l->buffer[l->at++];
        if (c == '\n') {
            l->line[length] = 0;
            return true;
        }
        if (length < sizeof l->line - 1) {
            l->line[length++] = c;
        }
    }
}

void lines_close(struct lines *l)
{
    REAL(syscall)(SYS_close, l->fd);
}

bool settings_open(struct settings *s)
{
    char path[PATH_MAX];
    const char *given = getenv("MIDSTREAM_CONFIG"), *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int fd = -1, n = -1;
    s->section[0] = 0;
    if (given && *given) {
        return lines_open(&s->lines, given);
    }
    if (folder && *folder == '/') {
        n = snprintf(path, sizeof path, "%s/midstream/config.toml", folder);
    } else if (home && *home == '/') {
        n = snprintf(path, sizeof path, "%s/.config/midstream/config.toml", home);
    }
    if (n > 0 && n < (int)sizeof path) {
        fd = open_file(path);
    }
    begin(&s->lines, fd >= 0 ? fd : open_file("/etc/midstream/config.toml"));
    return s->lines.fd >= 0;
}

/* Copies without blanks and quotation marks, up to a character of `end`. */
static const char *compact(char *to, size_t size, const char *from, const char *end)
{
    size_t n = 0;
    for (; *from && !strchr(end, *from); from++) {
        if (!strchr(" \t\r\"'", *from) && n + 1 < size) {
            to[n++] = *from;
        }
    }
    to[n] = 0;
    return from;
}

bool settings_next(struct settings *s)
{
    while (lines_next(&s->lines)) {
        const char *text = s->lines.line + strspn(s->lines.line, " \t");
        if (*text == '[') {
            compact(s->section, sizeof s->section - 1, text + strspn(text, "["), "]#");
            strcpy(s->key, s->section);
            strcat(s->section, ".");
            s->value[0] = 0;
            return true;
        }
        size_t prefix = (size_t)snprintf(s->key, sizeof s->key, "%s", s->section);
        text = compact(s->key + prefix, sizeof s->key - prefix, text, "=#");
        if (*text == '=') {
            compact(s->value, sizeof s->value, text + 1, "#");
            return true;
        }
    }
    return false;
}

void settings_close(struct settings *s)
{
    lines_close(&s->lines);
}
