/*
 * runtime.h: the runtime folder, by the rules of core/control/dir.go, and the host's. What is ordered for all processes is there as
 * a symbolic link, whose text is the order: it is there before the core is, and reading it costs one system call and no descriptor.
 */
#ifndef MIDSTREAM_RUNTIME_H
#define MIDSTREAM_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

#define RUNTIME_FOLDER_MAX 200

/*
 * The text of a link in the runtime folder, or else in the host's; its length, 0 where there is none to be trusted. That
 * folder's path goes to `folder`.
 */
long runtime_link(const char *link, char *text, size_t size, char folder[RUNTIME_FOLDER_MAX]);

/* Whether a midstreamd serves the folder: one that was killed leaves its order behind, and a socket that nobody listens on. */
bool runtime_is_served(const char *folder);

#endif
