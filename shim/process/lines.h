/*
 * lines.h: the lines of a file. Without the C library's buffers, for wget may leave connect() by siglongjmp.
 */
#ifndef MIDSTREAM_LINES_H
#define MIDSTREAM_LINES_H

#include <stdbool.h>
#include <stddef.h>

/* A file's lines, of which the first octets are kept. */
struct lines {
    int fd;
    size_t at, have, left; /* left: octets of the file that are still looked at */
    char buffer[512], line[256];
};

/* False when there is no such file. */
bool lines_open(struct lines *l, const char *path);

/* The same in two steps: a descriptor, or -1; and its lines. */
int lines_file(const char *path);
bool lines_begin(struct lines *l, int fd);

/* The next line, without its end, goes to l->line. False when there is none. */
bool lines_next(struct lines *l);
void lines_close(struct lines *l);

#endif
