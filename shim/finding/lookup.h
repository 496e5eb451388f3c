/*
 * lookup.h: functions that the program looks up itself, past the order in which the dynamic linker searches.
 *
 * Two ways lead past a preloaded library. dlsym(3) with a handle of dlopen's finds a TLS library's own function: here it
 * finds the hook, by way of a few instructions that note which copy of the library is meant (library.h: tls_meant). And an
 * object that is opened with RTLD_DEEPBIND, as PHP does with its extensions, binds to its own libraries and the C library
 * first: its references to functions that have hooks are bound to them, once it is there.
 *
 * All other calls of dlsym and dlopen reach the C library as they came, with the program's return address, by which it
 * knows the caller (RTLD_NEXT, RUNPATH). That takes assembly language: on processors other than x86-64 nothing is looked after.
 */
#ifndef MIDSTREAM_LOOKUP_H
#define MIDSTREAM_LOOKUP_H

#include "library.h"

/* The C library's dlsym. */
void *lookup_real(void *handle, const char *name);

/* In a forked child. */
void lookup_forget(void);

/* The way to a hook by which it is known which copy of the library, of TLS_LIBRARIES, is meant. */
void *lookup_entry(unsigned library, enum tls_call call);

#endif
