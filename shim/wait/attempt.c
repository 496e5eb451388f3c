/* attempt.c: see attempt.h. */
#include "attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/calls.h"
#include "fallback.h"
#include "epoll.h"
#include "flight.h"
#include "process/fork.h"
#include "stream/gate.h"
#include "process/own.h"
#include "network/socket.h"

/* An attempt that takes so long may have lost its carrier; that is looked at again every second. */
#define LOOK_NS 250000000LL
#define LOOK_AGAIN_NS 1000000000LL

/* After so long, with two packets repeated in vain, the others are asked once: the path may swallow everything. */
#define SILENT_NS 3000000000LL

/* An attempt that has failed within this time, without an answer, was told that nothing leads there: otherwise it takes longer. */
#define UNREACHABLE_NS 15000000000LL

/*
 * The same of a ClientHello that nobody has acknowledged: its repetition has not helped. And of one that has arrived: servers that
 * pace themselves do so by the second. Both at least, where round trips are short.
 */
#define UNHEARD_NS 300000000LL
#define UNANSWERED_NS 1100000000LL

/* How often is looked at what may be answered, while there are two such connections, or has still to be acknowledged. */
#define STEP_NS 10000000LL
#define GREETED_LOOK_NS 100000000LL

_Atomic uint32_t attempts_open;

/* Not after the first attempt_due of all; INT64_MAX: none is to be looked at. */
static _Atomic int64_t next_due = INT64_MAX;

/* Threads that look just now, with what comes of it not in next_due yet: the others wait for no longer than a step. */
static _Atomic uint32_t looking;

static void set_due(struct stream *s, int64_t due)
{
    atomic_store(&s->attempt.due, due);
    int64_t next = atomic_load(&next_due);
    while (due < next && !atomic_compare_exchange_weak(&next_due, &next, due)) {
    }
}

static void open_as(struct stream *s, uint32_t attempt, int64_t look)
{
    s->attempt.route_count = s->attempt.route_next = 0;
    s->attempt.own_interface = 0;
    s->present.inode = socket_inode(s->fd);
    s->attempt.since = coarse_now_ns();
    set_due(s, s->attempt.since + look);
    atomic_fetch_add(&attempts_open, 1);
    atomic_store(&s->attempt.state, attempt);
}

void attempt_begin(struct stream *s)
{
    open_as(s, ATTEMPT_FIRST, LOOK_NS);
}

void attempt_greeted(struct stream *s, const uint8_t *octets, size_t count)
{
    socklen_t length = s->peer.sin6_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (!s->bound && !attempt_is_open(s) && fallback_is_possible((struct sockaddr *)&s->peer, length) && flight_keep(s, octets, count)) {
        open_as(s, ATTEMPT_GREETED, GREETED_LOOK_NS);
        s->attempt.own_interface = fallback_interface_of(s->fd);
    }
}

static void drop(int *fd)
{
    if (*fd >= 0) {
        own_remove(*fd);
        REAL(syscall)(SYS_close, *fd);
        *fd = -1;
    }
}

void attempt_over(struct stream *s)
{
    if (attempt_is_open(s) && atomic_exchange(&s->attempt.state, ATTEMPT_NONE) != ATTEMPT_NONE) {
        int saved = errno;
        drop(&s->kept.fd);
        flight_drop(s);
        atomic_fetch_sub(&attempts_open, 1);
        errno = saved;
    }
}

void attempt_forget(struct stream *s)
{
    if (atomic_exchange(&s->attempt.state, ATTEMPT_NONE) != ATTEMPT_NONE) {
        drop(&s->kept.fd);
        flight_drop(s);
    }
    atomic_store(&looking, 0);
}

/* Puts a socket on the descriptor; one of Midstream's, only where all sets that the descriptor is in are known. */
static bool put(struct stream *s, int *socket)
{
    int flags = (int)REAL(syscall)(SYS_fcntl, s->fd, F_GETFD);
    if (epoll_know(s) && socket != &s->kept.fd) {
        drop(socket);
        return false;
    }
    epoll_part(s, s->fd);
    bool done = flags >= 0 && REAL(syscall)(SYS_dup3, *socket, s->fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0) >= 0;
    drop(socket);
    s->present.inode = socket_inode(s->fd);
    epoll_join(s, s->fd);
    return done;
}

/* The program's own connection comes back. */
static bool put_back(struct stream *s)
{
    s->moved = false;
    return put(s, &s->kept.fd);
}

/* The program may have asked already who is at both ends of its connection. */
static void keep_names(struct stream *s)
{
    socklen_t length = sizeof s->local;
    s->moved = !REAL(getsockname)(s->kept.fd, (struct sockaddr *)&s->local, &length);
}

/* Goes over the next interface that takes the attempt. */
static bool try_next(struct stream *s)
{
    socklen_t length = s->peer.sin6_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    while (s->attempt.route_next < s->attempt.route_count && !s->memberships.too_many) {
        struct sockaddr_in6 to = s->attempt.flight ? flight_server(s, s->attempt.route_servers[s->attempt.route_next]) : s->peer;
        const struct sockaddr *server = (struct sockaddr *)&to;
        int other = fallback_socket(s->fd, s->attempt.routes[s->attempt.route_next++], server, length);
        if (other < 0) {
            continue;
        }
        long flags = REAL(syscall)(SYS_fcntl, other, F_GETFL);
        bool waits = flags >= 0 && !(flags & O_NONBLOCK) && !REAL(syscall)(SYS_fcntl, other, F_SETFL, flags | O_NONBLOCK);
        bool in_vain = REAL(connect)(other, server, length) && errno != EINPROGRESS;
        if (waits) {
            REAL(syscall)(SYS_fcntl, other, F_SETFL, flags);
        }
        if (in_vain) {
            drop(&other);
            continue;
        }
        if (s->kept.fd < 0) {
            int own = (int)REAL(syscall)(SYS_fcntl, s->fd, F_DUPFD_CLOEXEC, other);
            if (own < 0 || own >= STREAM_TABLE) {
                REAL(syscall)(SYS_close, own);
                drop(&other);
                return false;
            }
            own_add(own);
            s->kept.fd = own;
            if (s->attempt.flight) {
                keep_names(s);
            }
        }
        if (put(s, &other)) {
            s->attempt.since = coarse_now_ns();
            s->attempt.flight_sent = false;
            atomic_store(&s->attempt.state, s->attempt.flight ? ATTEMPT_GREETED_OTHER : ATTEMPT_OTHER);
            set_due(s, s->attempt.since + (s->attempt.flight ? STEP_NS : s->attempt.limit));
            return true;
        }
    }
    return false;
}

static void add_route(struct stream *s, uint32_t over, unsigned server)
{
    if (s->attempt.route_count < FALLBACK_ROUTES) {
        s->attempt.route_servers[s->attempt.route_count] = (uint8_t)server;
        s->attempt.routes[s->attempt.route_count++] = over;
    }
}

/* A handshake may go on with any server of the name: another one over the same interface, then the same over others, then any. */
static void find_servers(struct stream *s, bool lost)
{
    unsigned others = flight_find(s);
    s->attempt.route_count = 0;
    for (unsigned i = 1; i <= others && !lost; i++) {
        struct sockaddr_in6 server = flight_server(s, i);
        if (fallback_is_possible((struct sockaddr *)&server, sizeof server) && fallback_reaches((struct sockaddr *)&server, s->attempt.own_interface)) {
            add_route(s, s->attempt.own_interface, i);
        }
    }
    for (unsigned i = 0; i <= others; i++) {
        uint32_t routes[FALLBACK_ROUTES];
        struct sockaddr_in6 server = flight_server(s, i);
        unsigned count = fallback_is_possible((struct sockaddr *)&server, sizeof server)
            ? fallback_routes(s->fd, (struct sockaddr *)&server, s->attempt.own_interface, lost, routes) : 0;
        for (unsigned n = 0; n < count; n++) {
            add_route(s, routes[n], i);
        }
    }
}

/* Makes out where else the attempt could go. */
static void find_routes(struct stream *s, bool lost)
{
    if (s->attempt.flight) {
        find_servers(s, lost);
    } else {
        s->attempt.route_count = (uint8_t)fallback_routes(s->fd, (struct sockaddr *)&s->peer, s->attempt.own_interface, lost, s->attempt.routes);
    }
    s->attempt.route_next = 0;
    s->attempt.limit = FALLBACK_LIMIT_NS / (s->attempt.route_count ? s->attempt.route_count : 1);
}

/* The present attempt leads nowhere. True when something else is on the descriptor now. With the gate closed by the caller. */
static bool go_on(struct stream *s)
{
    uint32_t attempt = atomic_load(&s->attempt.state);
    if (attempt == ATTEMPT_FIRST || attempt == ATTEMPT_GREETED) {
        find_routes(s, attempt == ATTEMPT_FIRST ? coarse_now_ns() - s->attempt.since < UNREACHABLE_NS : fallback_is_lost(s->attempt.own_interface));
    }
    if (try_next(s)) {
        return true;
    }
    bool back = s->kept.fd >= 0 && put_back(s);
    attempt_over(s);
    return back;
}

/* What has become of a ClientHello on a connection. */
enum answer { ANSWER_NONE, ANSWER_CONNECTED, ANSWER_THERE, ANSWER_ENDED };

static enum answer answer_on(int fd)
{
    struct pollfd look = { .fd = fd, .events = POLLIN | POLLOUT };
    if (REAL(poll)(&look, 1, 0) != 1) {
        return ANSWER_NONE;
    }
    if (look.revents & (POLLIN | POLLERR | POLLHUP)) {
        return socket_unread(fd) ? ANSWER_THERE : ANSWER_ENDED;
    }
    return ANSWER_CONNECTED;
}

/*
 * A handshake is not followed any more: unless another connection has been answered, it goes on where the program began it, and never on
 * one that has not even had the ClientHello. With the gate closed.
 */
static void stand_back(struct stream *s)
{
    if (atomic_load(&s->attempt.state) == ATTEMPT_GREETED_OTHER && s->kept.fd >= 0 && answer_on(s->fd) != ANSWER_THERE) {
        put_back(s);
    }
    attempt_over(s);
}

/* With the gate closed: calls that are inside leave. Not those that sleep there, nor one that this thread is within. */
static void await_nobody(const struct stream *s)
{
    for (int i = 0; i < 200 && atomic_load(&s->gate.inside); i++) {
        sched_yield();
    }
}

static bool is_followed(const struct stream *s)
{
    return attempt_is_open(s) && stream_of(s->fd) == s && atomic_load(&s->stage) == STAGE_CANDIDATE;
}

enum turn { MINE, NOT_NOW, NEVER };

/* Closes the gate. NOT_NOW: it has been dealt with meanwhile. NEVER: it is not followed any more. */
static enum turn take_turn(struct stream *s)
{
    if (!fork_is_mine() || !fork_same_process()) {
        return NEVER;
    }
    if (!gate_close(s)) {
        gate_wait(s);
        return NOT_NOW;
    }
    await_nobody(s);
    bool shared = fork_children() != s->forks, follows = !atomic_load(&s->gate.inside) && is_followed(s) && (!shared || attempt_is_greeted(s));
    bool replaced = follows && socket_inode(s->fd) != s->present.inode;
    if (follows && !replaced && shared) {
        stand_back(s); /* a child has been made after attempts_withdraw() */
        gate_open(s);
        return NOT_NOW;
    }
    if (!follows || replaced) {
        gate_open(s);
        if (replaced) {
            stream_closed(s); /* the number was closed and used again without any hook seeing it */
        }
        return NEVER;
    }
    return MINE;
}

/* No octet of an answer has been read, by whatever way. The kernel counts FIN as one. */
static bool is_unread(const struct stream *s)
{
    int64_t taken = socket_taken(s->fd);
    return taken == 0 || taken == 1;
}

/* Takes a connection over another interface a step on. True: something else is on the descriptor now. With the gate closed. */
static bool step(struct stream *s, int64_t now)
{
    enum answer answer = answer_on(s->fd);
    if (s->kept.fd >= 0 && answer != ANSWER_THERE && answer_on(s->kept.fd) == ANSWER_THERE) {
        put_back(s); /* the first has answered after all */
        attempt_over(s);
        return true;
    }
    if (answer == ANSWER_THERE) {
        attempt_over(s);
        return false;
    }
    if (answer == ANSWER_CONNECTED && !s->attempt.flight_sent && !(s->attempt.flight_sent = flight_send(s, s->fd))) {
        answer = ANSWER_ENDED;
    }
    return (answer == ANSWER_ENDED || now - s->attempt.since >= s->attempt.limit) && go_on(s);
}

/* attempt_shown of a handshake. With the gate closed. */
static bool greeting_shown(struct stream *s, uint32_t events)
{
    if (atomic_load(&s->attempt.state) == ATTEMPT_GREETED_OTHER) {
        return step(s, coarse_now_ns()) || (attempt_is_open(s) && !(events & POLLOUT && s->attempt.flight_sent));
    }
    enum answer answer = answer_on(s->fd);
    if (answer == ANSWER_THERE || !is_unread(s)) {
        attempt_over(s);
        return false;
    }
    return answer == ANSWER_ENDED && go_on(s);
}

/* Another thread may be at it. False: it does not come to an end. */
static bool close_in_turn(struct stream *s)
{
    while (!gate_close(s)) {
        if (!gate_wait(s)) {
            return false;
        }
    }
    return true;
}

void attempt_withdraw(struct stream *s)
{
    int saved = errno;
    if (attempt_is_greeted(s) && fork_is_mine() && fork_same_process() && close_in_turn(s)) {
        await_nobody(s);
        if (is_followed(s) && attempt_is_greeted(s) && socket_inode(s->fd) == s->present.inode) {
            stand_back(s);
        }
        gate_open(s);
    }
    errno = saved;
}

void attempts_withdraw(void)
{
    uint32_t used = attempts_are_open() ? stream_slots_used() : 0;
    for (uint32_t slot = 0; slot < used; slot++) {
        attempt_withdraw(stream_slot(slot));
    }
}

static short events_of(int fd)
{
    struct pollfd look = { .fd = fd, .events = POLLOUT };
    return REAL(poll)(&look, 1, 0) == 1 ? look.revents : 0;
}

bool attempt_shown(struct stream *s, uint32_t events)
{
    int saved = errno;
    enum turn turn = take_turn(s);
    bool changed = turn == NOT_NOW;
    if (turn == MINE && attempt_is_greeted(s)) {
        changed = greeting_shown(s, events);
        gate_open(s);
    } else if (turn == MINE) {
        short now = events_of(s->fd);
        if (now & (POLLERR | POLLHUP)) {
            bool answer = atomic_load(&s->attempt.state) == ATTEMPT_FIRST && socket_was_answered(s->fd);
            changed = !answer && go_on(s);
            if (answer) {
                attempt_over(s);
            }
        } else if (now) {
            attempt_over(s);
        } else {
            changed = true; /* the events were those of another socket */
        }
        gate_open(s);
    }
    errno = saved;
    return changed;
}

void attempt_settle(struct stream *s)
{
    int saved = errno;
    while (attempt_is_being_made(s) && events_of(s->fd) && attempt_shown(s, POLLOUT)) {
        /* An attempt over another interface is under way: the question is about how it ends. */
        while (atomic_load(&s->attempt.state) == ATTEMPT_OTHER && !events_of(s->fd)) {
            struct pollfd wait = { .fd = s->fd, .events = POLLOUT };
            int64_t left = attempts_left();
            if (REAL(poll)(&wait, 1, left > 1000000000LL ? 1000 : (int)(left / 1000000) + 1) < 0 && errno != EINTR) {
                break;
            }
            attempts_look();
        }
    }
    errno = saved;
}

/* How long an answer may take. A path that is merely long is no reason to ask twice. */
static int64_t patience(int fd)
{
    bool heard = socket_was_heard(fd);
    int64_t least = heard ? UNANSWERED_NS : UNHEARD_NS, round_trips = (heard ? 3 : 2) * socket_rtt_ns(fd);
    return round_trips > least ? round_trips : least;
}

/* The time of a handshake has come. With the gate closed. */
static void look_at_greeting(struct stream *s, int64_t now)
{
    if (atomic_load(&s->attempt.state) == ATTEMPT_GREETED_OTHER) {
        atomic_store(&s->attempt.due, now + STEP_NS);
        step(s, now);
        return;
    }
    atomic_store(&s->attempt.due, now + GREETED_LOOK_NS);
    if (answer_on(s->fd) > ANSWER_CONNECTED) {
        return; /* the wait, or the read, finds it */
    }
    if (!is_unread(s)) {
        attempt_over(s);
        return;
    }
    bool cut = fallback_is_lost(s->attempt.own_interface);
    if (cut || now - s->attempt.since >= patience(s->fd)) {
        find_routes(s, cut);
        if (!try_next(s) && !cut) {
            atomic_store(&s->attempt.due, INT64_MAX); /* there is nobody else to ask */
        }
    }
}

/* The time of an attempt has come. */
static void look(struct stream *s, int64_t now)
{
    if (take_turn(s) != MINE) {
        atomic_store(&s->attempt.due, now + LOOK_AGAIN_NS);
        return;
    }
    if (attempt_is_greeted(s)) {
        look_at_greeting(s, now);
    } else if (events_of(s->fd)) {
        atomic_store(&s->attempt.due, INT64_MAX); /* the wait shows what has become of it */
    } else if (atomic_load(&s->attempt.state) == ATTEMPT_OTHER) {
        go_on(s);
    } else {
        atomic_store(&s->attempt.due, now + LOOK_AGAIN_NS);
        uint32_t own;
        bool cut = fallback_is_cut_off(s->fd, (struct sockaddr *)&s->peer, &own);
        s->attempt.own_interface = s->attempt.own_interface ? s->attempt.own_interface : own;
        if (cut || now - s->attempt.since >= SILENT_NS) {
            find_routes(s, cut);
            if (!try_next(s) && !cut) {
                atomic_store(&s->attempt.due, INT64_MAX); /* there is nobody else to ask */
            }
        }
    }
    gate_open(s);
}

int64_t attempts_left(void)
{
    if (!attempts_are_open()) {
        return INT64_MAX;
    }
    bool others = atomic_load(&looking); /* first: who has finished by then has set next_due before */
    int64_t next = atomic_load(&next_due);
    if (next == INT64_MAX) {
        return others ? STEP_NS : INT64_MAX;
    }
    int64_t left = next - coarse_now_ns();
    return left > 0 ? left : 0;
}

void attempts_look(void)
{
    int64_t now = coarse_now_ns();
    if (!attempts_are_open() || now < atomic_load(&next_due)) {
        return;
    }
    int saved = errno;
    int64_t first = INT64_MAX;
    atomic_fetch_add(&looking, 1);
    atomic_store(&next_due, INT64_MAX);
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        if (!attempt_is_open(s)) {
            continue;
        }
        if (atomic_load(&s->attempt.due) <= now) {
            look(s, now);
        }
        int64_t due = attempt_is_open(s) ? atomic_load(&s->attempt.due) : INT64_MAX;
        first = due < first ? due : first;
    }
    int64_t next = atomic_load(&next_due);
    while (first < next && !atomic_compare_exchange_weak(&next_due, &next, first)) {
    }
    atomic_fetch_sub(&looking, 1);
    errno = saved;
}
