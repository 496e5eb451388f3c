/* lines.c: see lines.h. */
#include "lines.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"

/* No more of a file is looked at, in octets: it may be one that never ends. */
#define LOOKED_AT (1 << 20)

/* A FIFO would block the program otherwise. */
int lines_file(const char *path)
{
    return (int)REAL(syscall)(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

bool lines_begin(struct lines *l, int fd)
{
    l->fd = fd;
    l->at = l->have = 0;
    l->left = LOOKED_AT;
    return fd >= 0;
}

bool lines_open(struct lines *l, const char *path)
{
    return lines_begin(l, lines_file(path));
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
