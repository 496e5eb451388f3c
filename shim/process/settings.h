/*
 * settings.h: what the shim has to know of the configuration before the core is there, or without it: a key at a time.
 *
 * Only the core understands all of the file, and says whether it is valid. Here a line is a key, and what it is set to; texts of
 * several lines and escapes within texts are not understood. Without the C library's buffers, for wget may leave
 * connect() by siglongjmp.
 */
#ifndef MIDSTREAM_SETTINGS_H
#define MIDSTREAM_SETTINGS_H

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

/* The next line, without its end, goes to l->line. False when there is none. */
bool lines_next(struct lines *l);
void lines_close(struct lines *l);

struct settings {
    struct lines lines;
    char section[96], key[192], value[64];
};

/* The file is the one that the core reads (core/config/find.go). False when there is none. */
bool settings_open(struct settings *s);

/*
 * The next key, with its tables ("tls.http2"), and what follows its "=" on its line, both without blanks and quotation
 * marks; or a table's name, with the value "". False when there is no more.
 */
bool settings_next(struct settings *s);
void settings_close(struct settings *s);

#endif
