/*
 * room.h: whether the process has room for the core. A Go runtime that finds none while it starts cannot be stopped from failing in
 * the middle of it; so it is looked before. What the program takes later ends the core alone (cgo/guest.go.in).
 */
#ifndef MIDSTREAM_ROOM_H
#define MIDSTREAM_ROOM_H

#include <stdbool.h>

/* Some system calls; keeps errno. */
bool room_for_core(void);

#endif
