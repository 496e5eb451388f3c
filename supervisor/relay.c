/*
 * relay.c: see relay.h.
 *
 * Small amounts are copied. What fills the buffer is spliced, by a pipe that is lent as long as there are octets in it: the way that costs
 * least, and a thousand idle connections have none. What the other end does not take is not read: a slow reader slows down the sender as
 * it would natively.
 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "carried.h"
#include "tls.h"

/* What is copied at a time, and what is spliced at most. */
#define PIECE (64 << 10)
#define PIPE_SIZE (512 << 10)

/* One connection may carry so much before it is the others' turn. */
#define TURN (2 << 20)

/* Empty pipes that are kept. */
#define POOL 16

/* Ends that wait for the program's kernel to have taken all are looked at so often, and time-outs are waited for so long. */
#define LINGER_MS 20
#define SILENCE_NS 10000000000LL

static uint8_t buffer[PIECE];
static int pool[POOL][2];
static unsigned pooled, pipes;
static struct carried *queue, **queue_end = &queue;
static struct carried *lingering;

unsigned relay_pipes(void) { return pipes; }

static bool lend_pipe(struct way *w)
{
    if (w->pipe[0] >= 0) {
        return true;
    }
    if (pooled) {
        pooled--;
        memcpy(w->pipe, pool[pooled], sizeof w->pipe);
        return true;
    }
    if (pipe2(w->pipe, O_NONBLOCK | O_CLOEXEC)) {
        w->pipe[0] = w->pipe[1] = -1;
        return false;
    }
    fcntl(w->pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
    pipes++;
    return true;
}

static void return_pipe(struct way *w)
{
    if (w->pipe[0] < 0) {
        return;
    }
    if (!w->piped && pooled < POOL) {
        memcpy(pool[pooled++], w->pipe, sizeof w->pipe);
    } else {
        close(w->pipe[0]);
        close(w->pipe[1]);
        pipes--;
    }
    w->pipe[0] = w->pipe[1] = -1;
    w->piped = 0;
}

void relay_drop(struct way *w)
{
    if (w->rest) {
        explicit_bzero(w->rest, w->rest_at + w->rest_length); /* of TLS it is what was in it */
    }
    free(w->rest);
    w->rest = NULL;
    w->rest_at = w->rest_length = 0;
}

bool relay_keep(struct way *w, const void *octets, size_t count)
{
    w->rest = malloc(count);
    w->rest_at = 0;
    w->rest_length = w->rest ? count : 0;
    if (w->rest) {
        memcpy(w->rest, octets, count);
    }
    return w->rest;
}

static void close_end(struct end *end, bool reset)
{
    struct linger ordinary = { 0, 0 };
    if (end->fd < 0) {
        return;
    }
    if (!reset) {
        setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &ordinary, sizeof ordinary);
    }
    close(end->fd);
    end->fd = -1;
}

enum step relay_over(struct carried *c, bool reset_program, bool reset_server)
{
    tls_end(c);
    close_end(&c->program, reset_program);
    close_end(&c->server, reset_server);
    return_pipe(&c->up);
    return_pipe(&c->down);
    relay_drop(&c->up);
    relay_drop(&c->down);
    carried_over(c);
    return STEP_OVER;
}

static void linger(struct carried *c)
{
    if (!c->lingers) {
        c->lingers = true;
        c->more = lingering;
        lingering = c;
    }
}

/*
 * The program is to see its connection time out, as it would: it is made to ask whether the other end is there, and to hear nothing. False:
 * that cannot be done.
 */
static bool fall_silent(struct carried *c)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog filter = { 1, &nothing };
    int fd = carried_take(c), one = 1;
    if (fd < 0) {
        return false;
    }
    bool done = !syscall(SYS_setsockopt, c->program.fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter)
        && !syscall(SYS_setsockopt, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &one, sizeof one)
        && !syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one)
        && !syscall(SYS_setsockopt, fd, IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof one)
        && !syscall(SYS_setsockopt, fd, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof one);
    close(fd);
    return done;
}

enum step relay_pass_failure(struct carried *c)
{
    int left = 0;
    if (c->program.fd < 0) {
        return STEP_DONE;
    }
    if (!c->patience && !ioctl(c->program.fd, SIOCOUTQ, &left) && left) {
        linger(c); /* RST would overtake it */
        return STEP_DONE;
    }
    if (c->error == ETIMEDOUT && !c->down.shut && !c->patience && fall_silent(c)) {
        c->patience = now_ns() + SILENCE_NS;
        linger(c);
        return STEP_DONE;
    }
    if (c->patience > now_ns()) {
        linger(c);
        return STEP_DONE;
    }
    return relay_over(c, true, true);
}

enum step relay_failed(struct carried *c, struct end *end, int error)
{
    if (end == &c->program) {
        return relay_over(c, true, true); /* the program has reset it, or is gone with octets unread */
    }
    if (!c->error) {
        int told = 0;
        socklen_t length = sizeof told;
        /* EPIPE says only that it is over. */
        if (error == EPIPE && !getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &told, &length) && told) {
            error = told;
        }
        c->error = error;
        relay_drop(&c->up);
    }
    return STEP_MORE;
}

static bool is_nothing(int error) { return error == EAGAIN || error == EINTR; }

/* Sends what has been read before. STEP_MORE: nothing is left. */
static enum step send_rest(struct carried *c, struct way *w)
{
    while (w->rest_length || w->piped) {
        ssize_t n = w->rest_length ? send(w->to->fd, w->rest + w->rest_at, w->rest_length, MSG_NOSIGNAL | MSG_DONTWAIT)
                                   : splice(w->pipe[0], NULL, w->to->fd, NULL, w->piped, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n < 0 && is_nothing(errno)) {
            w->to->writable = errno == EINTR;
            if (!w->to->writable) {
                return STEP_DONE;
            }
            continue;
        }
        if (n <= 0) {
            return relay_failed(c, w->to, n ? errno : EPIPE);
        }
        if (w->rest_length) {
            w->rest_at += (size_t)n;
            w->rest_length -= (size_t)n;
        } else {
            w->piped -= (size_t)n;
        }
    }
    relay_drop(w);
    return STEP_MORE;
}

/* Reads a piece, and passes it on. The octets, 0 at the end, -1 with errno. */
static ssize_t copy_piece(struct carried *c, struct way *w, enum step *step)
{
    ssize_t n = recv(w->from->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n <= 0) {
        return n;
    }
    w->bulk = n == sizeof buffer && w == &c->down;
    ssize_t sent = send(w->to->fd, buffer, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    int error = errno;
    if (sent < 0 && !is_nothing(error)) {
        *step = relay_failed(c, w->to, error);
        return n;
    }
    size_t done = sent > 0 ? (size_t)sent : 0;
    if (done < (size_t)n) {
        w->to->writable = false;
        if (!relay_keep(w, buffer + done, (size_t)n - done)) {
            *step = relay_over(c, true, true); /* octets would be missing */
        }
    }
    return n;
}

void relay_pass_end(struct carried *c, struct way *w)
{
    if (w->shut) {
        return;
    }
    w->shut = true;
    shutdown(w->to->fd, SHUT_WR);
    if (w == &c->up) {
        /* Whether the program still has its end, or has closed it altogether: its kernel is asked now and then. */
        int yes = 1, idle = 60;
        syscall(SYS_setsockopt, c->program.fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        syscall(SYS_setsockopt, c->program.fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    }
}

static enum step carry_way(struct carried *c, struct way *w)
{
    for (size_t done = 0; done < TURN;) {
        enum step step = STEP_MORE;
        if ((w->rest_length || w->piped) && (step = send_rest(c, w)) != STEP_MORE) {
            return step;
        }
        if (c->error && w == &c->up) {
            return STEP_DONE; /* nobody takes it any more */
        }
        if (c->error && (!w->from->readable || w->ended)) {
            return relay_pass_failure(c);
        }
        if (w->ended) {
            return_pipe(w);
            relay_pass_end(c, w);
            return STEP_DONE;
        }
        if (!w->from->readable || !w->to->writable) {
            return_pipe(w);
            return STEP_DONE;
        }
        ssize_t n;
        if (w->bulk && lend_pipe(w)) {
            n = splice(w->from->fd, NULL, w->pipe[1], NULL, PIPE_SIZE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
            w->piped = n > 0 ? (size_t)n : 0;
        } else {
            n = copy_piece(c, w, &step);
            if (step == STEP_OVER) {
                return step;
            }
        }
        if (n > 0) {
            done += (size_t)n;
        } else if (!n) {
            w->ended = true;
        } else if (errno == EAGAIN) {
            w->from->readable = w->bulk = false;
        } else if (errno != EINTR) {
            int error = errno;
            w->from->readable = false;
            if ((step = relay_failed(c, w->from, error)) == STEP_OVER) {
                return step;
            }
        }
    }
    return STEP_MORE;
}

static void enqueue(struct carried *c)
{
    if (!c->queued && !c->lingers) {
        c->queued = true;
        c->more = NULL;
        *queue_end = c;
        queue_end = &c->more;
    }
}

static void carry_both(struct carried *c)
{
    if (c->tls) {
        if (tls_carry(c) == STEP_MORE) {
            enqueue(c);
        }
        return;
    }
    enum step up = carry_way(c, &c->up), down = up == STEP_OVER ? up : carry_way(c, &c->down);
    if (down == STEP_OVER) {
        return;
    }
    if (c->up.shut && c->down.shut) {
        relay_over(c, false, false);
    } else if (up == STEP_MORE || down == STEP_MORE) {
        enqueue(c);
    }
}

/*
 * From the first octet on, each end is reset as it closes, unless all is well (close_end): should this process be killed, FIN would pass
 * for the end of what has been sent.
 */
void relay_begin(struct carried *c)
{
    struct linger reset = { 1, 0 };
    setsockopt(c->server.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(c->program.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    c->program.readable = c->program.writable = true;
    c->server.readable = c->server.writable = true;
    carry_both(c);
}

void relay_event(struct end *end, uint32_t events)
{
    end->readable = end->readable || events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    end->writable = end->writable || events & (EPOLLOUT | EPOLLHUP | EPOLLERR);
    if (end->of->tls && tls_event(end->of, end, events) != STEP_MORE) {
        return;
    }
    if (!end->of->queued && !end->of->lingers) {
        carry_both(end->of);
    }
}

int relay_look(void)
{
    struct carried *all = queue, *waiting = lingering;
    queue = NULL;
    queue_end = &queue;
    lingering = NULL; /* before the first is carried: what that adds stays */
    while (all) {
        struct carried *c = all;
        all = c->more;
        c->queued = false;
        if (c->state == CARRIED_RELAYING) {
            carry_both(c);
        }
    }
    while (waiting) {
        struct carried *c = waiting;
        waiting = c->more;
        c->lingers = false;
        if (c->state == CARRIED_RELAYING) {
            carry_both(c);
        }
    }
    return queue ? 0 : lingering ? LINGER_MS : -1;
}
