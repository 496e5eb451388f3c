/* worker.c: the thread that serves twins, and sleeps on an eventfd and on their sockets; see twin_work.h. */
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plaintext.h"
#include "process/calls.h"
#include "process/own.h"
#include "twin_work.h"

static int event = -1;
static bool ending;  /* the worker is to end */
static bool leaving; /* the process is exiting: libraries are being torn down */

void worker_ring(void)
{
    static const uint64_t one = 1;
    REAL(write)(event, &one, sizeof one);
}

/* All that can be done for a twin without waiting. */
static void serve(struct twin *w)
{
    if (w->state == TWIN_NEW || w->state == TWIN_SHAKES_HANDS) {
        twin_shake_hands(w);
    }
    if (w->state != TWIN_READY) {
        return;
    }
    enum tls_outcome outcome = plaintext_send(w);
    w->wants_write = outcome == TLS_AGAIN;
    if (outcome != TLS_DATA) {
        if (outcome != TLS_AGAIN) {
            twin_fail(w, MS_WHY_TWIN_REQUEST);
        }
        return;
    }
    while (plaintext_answer(w)) {
        outcome = plaintext_read(w, PLAINTEXT_PIECE);
        if (outcome == TLS_AGAIN) {
            return;
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
        return;
    }
}

static bool waits(const struct twin *w)
{
    return w->state == TWIN_NEW || w->state == TWIN_SHAKES_HANDS
        || (w->state == TWIN_READY && ((w->request_length && !w->holds) || w->skip > 0 || w->peek >= 0 || w->take > 0));
}

static void *worker_main(void *unused)
{
    struct tls_frame frame;
    static struct pollfd wait[TWINS + 1];
    (void)unused;
    REAL(syscall)(SYS_prctl, PR_SET_NAME, "midstream-tls", 0, 0, 0);
    twin_begin_work(&frame);
    for (;;) {
        wait[0] = (struct pollfd){ .fd = event, .events = POLLIN };
        nfds_t count = 1;
        for (struct twin *w = twins; w && count <= TWINS; w = w->next) {
            if (waits(w)) {
                wait[count++] = (struct pollfd){ .fd = w->fd, .events = w->wants_write ? POLLOUT : POLLIN };
            }
        }
        twin_end_work(&frame);
        REAL(poll)(wait, count, count > 1 ? 1000 : -1);
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
        for (struct twin *w = twins; w; w = next) {
            next = w->next;
            if (waits(w)) {
                serve(w);
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
