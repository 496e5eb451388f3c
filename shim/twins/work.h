/*
 * work.h: what the files of twins share: twin.c, handshake.c, worker.c and plaintext.c.
 *
 * One mutex is held while twins are worked on, never while anything is waited for; it comes before tls_mutex.
 */
#ifndef MIDSTREAM_WORK_H
#define MIDSTREAM_WORK_H

#include "process/clock.h"
#include "tls/twin.h"

/* Twins looked after at once; a stream has one at a time, two where one stands by. */
#define TWINS 2048

enum { TWIN_NEW, TWIN_SHAKES_HANDS, TWIN_ASKS, TWIN_ASKED, TWIN_READY, TWIN_ARMED, TWIN_FAILED };

/* Those that are not in use yet. With the mutex. */
extern struct twin *twins;

/* Around all work on twins. What their libraries call of their own exported functions is none of the program's. */
void twin_begin_work(struct tls_frame *frame);
void twin_end_work(struct tls_frame *frame);

/* The mutex alone. */
void twin_lock(void);
void twin_unlock(void);

/* Tells the core of a twin: the answer to its last question, where it has asked one. */
void twin_tell(const struct twin *w, unsigned kind, unsigned flags, int64_t a, const void *data, size_t length);

/* It is of no more use; with its `detail`, where the reason has one. */
void twin_fail(struct twin *w, enum ms_why why);

/* A handle that the program's function has before it stays, for good if that is left by siglongjmp. */
void twin_destroy(struct twin *w);

/* The next step of a twin that is not ready yet. */
void twin_shake_hands(struct twin *w);

/* The worker is there, or is started. False: it cannot be. */
bool worker_start(void);
bool worker_is_there(void);

/* It looks at all twins. */
void worker_ring(void);

/* It ends. */
void worker_end(void);

/* The program takes the number fd, as twin_vacate has it. */
void worker_vacate(int fd, int moved);

/* In a forked child. */
void worker_forget(void);

#endif
