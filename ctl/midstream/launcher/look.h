/* look.h: what keeps Midstream from a program that is about to be started. */
#ifndef MIDSTREAM_LAUNCHER_LOOK_H
#define MIDSTREAM_LAUNCHER_LOOK_H

#include <limits.h>
#include <stdbool.h>

struct look {
    const char *library; /* libmidstream.so, as it is going to be preloaded */
    char limit[3 * PATH_MAX]; /* one sentence, "" where there is none */
    bool carried; /* what stands against it is none where a supervisor carries its connections (reach.h) */
    bool breaks; /* the program would not run with the library preloaded */
};

/* Finds a command as execvp(3) does. Returns 0, or 126 or 127 as the shell's status. */
int look_find(const char *name, char *found);

/* Looks at a program that look_find has found, and at the one that is going to interpret it. `command` is what follows its name. */
void look_at(struct look *l, const char *file, char *const *command);

#endif
