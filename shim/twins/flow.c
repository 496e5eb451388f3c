/* flow.c: see flow.h. */
#include "flow.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "plaintext.h"
#include "process/calls.h"
#include "process/own.h"
#include "work.h"

/* As much is passed on at once: a call wakes the core. */
#define ROOM (64 << 10)

/* As often, before others have their turn. */
#define TIMES 4

/* The longest request that is taken from the pair at a time. */
#define REQUEST 4096

void flow_begin(struct twin *w, int fd)
{
    uint8_t *stash = malloc(ROOM);
    if (!stash || w->stash || w->request_length || fd < 0) {
        free(stash);
        twin_fail(w, MS_WHY_NO_MEMORY);
        return;
    }
    w->stash = stash;
    w->stash_room = ROOM;
    w->flow = fd;
}

bool flow_end(struct twin *w)
{
    int unread = 1;
    if (w->flow < 0) {
        return true;
    }
    if (w->stash_end || REAL(ioctl)(w->flow, SIOCOUTQ, &unread) || unread) {
        return false;
    }
    own_drop(&w->flow);
    return true;
}

/* What has been read goes out. False: there is no room for all of it. */
static bool pass_on(struct twin *w)
{
    while (w->stash_start < w->stash_end) {
        ssize_t n = REAL(send)(w->flow, w->stash + w->stash_start, w->stash_end - w->stash_start, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            own_drop(&w->flow); /* the core has closed it, and is about to say so */
        }
        if (n <= 0) {
            return false;
        }
        w->stash_start += (size_t)n;
    }
    w->stash_start = w->stash_end = 0;
    return true;
}

/* The core's requests. */
static void take_requests(struct twin *w)
{
    uint8_t octets[REQUEST];
    ssize_t n = REAL(recv)(w->flow, octets, sizeof octets, MSG_DONTWAIT);
    if (n > 0 && !plaintext_add(&w->request, &w->request_length, octets, (size_t)n)) {
        twin_fail(w, MS_WHY_NO_MEMORY);
    }
    plaintext_wipe(octets, sizeof octets);
    if (!n) {
        own_drop(&w->flow);
    }
}

static void end(struct twin *w, enum ms_why why)
{
    if (why) {
        twin_fail(w, why);
    } else {
        w->state = TWIN_FAILED;
        twin_tell(w, MS_TWIN_OCTETS, MS_LAST, 0, NULL, 0);
    }
    own_drop(&w->flow);
}

size_t flow_serve(struct twin *w)
{
    size_t passed = 0;
    if (!w->wants_write) {
        take_requests(w);
    }
    enum tls_outcome sent = w->flow >= 0 && w->state == TWIN_READY ? plaintext_send(w) : TLS_DATA;
    w->wants_write = sent == TLS_AGAIN;
    if (sent == TLS_BAD || sent == TLS_END) {
        end(w, MS_WHY_TWIN_REQUEST);
    }
    w->more = false;
    for (int i = 0; w->state == TWIN_READY && w->flow >= 0 && pass_on(w); i++) {
        if (i == TIMES) {
            w->more = true;
            break;
        }
        enum tls_outcome outcome = w->over; /* a library that is asked after a failure may take it for the end */
        while (outcome == TLS_DATA && w->stash_end < w->stash_room) {
            size_t n = 0;
            outcome = w->library->kind->read(w->library, w->handle, w->stash + w->stash_end, w->stash_room - w->stash_end, &n);
            w->stash_end += n;
            passed += n;
        }
        w->over = outcome == TLS_AGAIN ? TLS_DATA : outcome;
        if (outcome != TLS_DATA && pass_on(w)) {
            if (outcome != TLS_AGAIN) {
                end(w, outcome == TLS_END ? MS_WHY_NONE : MS_WHY_TWIN_BROKEN);
            }
            break;
        }
    }
    return passed;
}

nfds_t flow_waits(const struct twin *w, struct pollfd *wait)
{
    bool full = w->stash_end > 0;
    short peer = (short)((full ? 0 : POLLIN) | (w->wants_write ? POLLOUT : 0));
    short core = (short)((full ? POLLOUT : 0) | (w->wants_write ? 0 : POLLIN));
    wait[0] = (struct pollfd){ .fd = peer ? w->fd : -1, .events = peer }; /* its end is not looked at before there is room for that */
    wait[1] = (struct pollfd){ .fd = core ? w->flow : -1, .events = core };
    return 2;
}
