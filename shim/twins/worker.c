/* worker.c: the thread that serves twins, and sleeps on an eventfd and on their sockets; see work.h. */
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "flow.h"
#include "plaintext.h"
#include "process/calls.h"
#include "process/own.h"
#include "work.h"

static int event = -1;
static bool ending;  /* the worker is to end */
static bool leaving; /* the process is exiting: libraries are being torn down */

void worker_ring(void)
{
    static const uint64_t one = 1;
    REAL(write)(event, &one, sizeof one);
}

/*
 * Where few octets come at a time, more are waited for before they are looked at again: each look costs as much as some thousand octets.
 * Who has asked for something in between is heard at once.
 */
#define GATHER_MS 5
#define GATHER_BELOW (64 << 10)

/* All that can be done for a twin without waiting; returns how many octets have passed. */
static size_t serve(struct twin *w)
{
    if (w->flow >= 0 && w->state == TWIN_READY) {
        return flow_serve(w);
    }
    if (w->state == TWIN_NEW || w->state == TWIN_SHAKES_HANDS) {
        twin_shake_hands(w);
    }
    if (w->state != TWIN_READY) {
        return 0;
    }
    enum tls_outcome outcome = plaintext_send(w);
    w->wants_write = outcome == TLS_AGAIN;
    if (outcome != TLS_DATA) {
        if (outcome != TLS_AGAIN) {
            twin_fail(w, MS_WHY_TWIN_REQUEST);
        }
        return 0;
    }
    while (plaintext_answer(w)) {
        outcome = plaintext_read(w, PLAINTEXT_PIECE);
        if (outcome == TLS_AGAIN) {
            return 0;
        }
        if (outcome == TLS_DATA) {
            continue;
        }
        if (w->take > 0 && outcome == TLS_END) {
            w->take = 0;
            twin_tell(w, MS_TWIN_OCTETS, MS_LAST, 0, NULL, 0);
            continue;
        }
        twin_fail(w, outcome == TLS_END ? MS_WHY_TWIN_CLOSED : MS_WHY_TWIN_BROKEN);
        return 0;
    }
    return 0;
}

static bool waits(const struct twin *w)
{
    return w->state == TWIN_NEW || w->state == TWIN_SHAKES_HANDS
        || (w->state == TWIN_READY && w->flow >= 0)
        || (w->state == TWIN_READY && ((w->request_length && !w->holds) || w->skip > 0 || w->peek >= 0 || w->take > 0));
}

static void *worker_main(void *unused)
{
    struct tls_frame frame;
    static struct pollfd wait[2 * TWINS + 1];
    size_t passed = 0;
    (void)unused;
    REAL(syscall)(SYS_prctl, PR_SET_NAME, "midstream-tls", 0, 0, 0);
    twin_begin_work(&frame);
    for (;;) {
        wait[0] = (struct pollfd){ .fd = event, .events = POLLIN };
        nfds_t count = 1;
        bool more = false;
        for (struct twin *w = twins; w && count < 2 * TWINS; w = w->next) {
            if (w->flow >= 0 && waits(w)) {
                count += flow_waits(w, wait + count);
                more = more || w->more;
            } else if (waits(w)) {
                wait[count++] = (struct pollfd){ .fd = w->fd, .events = w->wants_write ? POLLOUT : POLLIN };
            }
        }
        twin_end_work(&frame);
        if (passed && passed < GATHER_BELOW && !more) {
            REAL(poll)(wait, 1, GATHER_MS);
        }
        REAL(poll)(wait, count, more ? 0 : count > 1 ? 1000 : -1);
        twin_begin_work(&frame);
        if (ending) {
            own_drop(&event);
            ending = false;
            twin_end_work(&frame);
            return NULL;
        }
        if (leaving) {
            twin_end_work(&frame);
            for (;;) {
                pause();
            }
        }
        uint64_t rung;
        REAL(read)(event, &rung, sizeof rung);
        struct twin *next;
        passed = 0;
        for (struct twin *w = twins; w; w = next) {
            next = w->next;
            if (waits(w)) {
                passed += serve(w);
            }
        }
    }
    return NULL;
}

/* What the libraries have registered runs after this: they are still whole, and from here on left alone. */
static void at_exit(void)
{
    twin_lock();
    leaving = true;
    twin_unlock();
}

bool worker_start(void)
{
    static bool registered;
    pthread_t thread;
    pthread_attr_t attributes;
    if (event >= 0) {
        return true;
    }
    int made = own_lift(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (made < 0 || pthread_attr_init(&attributes)) {
        return false;
    }
    event = made;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 512 * 1024);
    bool good = !pthread_create(&thread, &attributes, worker_main, NULL); /* the agent's signal mask: all blocked */
    pthread_attr_destroy(&attributes);
    if (!good) {
        own_drop(&event);
    } else if (!registered) {
        registered = !atexit(at_exit);
    }
    return good;
}

bool worker_is_there(void)
{
    return event >= 0;
}

void worker_vacate(int fd, int moved)
{
    if (event == fd) {
        event = moved;
    }
}

void worker_end(void)
{
    ending = event >= 0;
    if (ending) {
        worker_ring();
    }
}

void worker_forget(void)
{
    ending = false;
    event = -1;
}
