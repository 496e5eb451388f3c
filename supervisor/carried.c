/* carried.c: see carried.h. */
#include "carried.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../shim/stream/carried.h"
#include "notice.h"
#include "options.h"
#include "ports.h"
#include "relay.h"
#include "target.h"
#include "tls.h"

/* So often it is looked whether the program has given up what is still being made, and not before that has taken so long. */
#define ATTEMPT_NS 1000000000LL

/* Closed ones of which the names are kept. */
#define OVER_MAX 1024

#define BUCKETS 4096

int carried_set = -1;

static struct carried *buckets[BUCKETS];
static struct carried *at_port[2][65536]; /* CARRIED_MAKING and CARRIED_JOINING: IPv4, IPv6 */
static struct carried *unused, *forgotten;
static struct carried *oldest, *newest; /* CARRIED_FAILED and CARRIED_OVER */
static struct carried *sleepers[64]; /* those with `patience` */
static unsigned known, failures, open_ones, kept, attempts;
static int64_t attempts_due; /* when they are looked at */

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

unsigned carried_known(void) { return known; }
unsigned carried_failures(void) { return failures; }
unsigned carried_open(void) { return open_ones; }

static struct carried **bucket_of(uint64_t cookie) { return &buckets[cookie % BUCKETS]; }

struct carried *carried_of(uint64_t cookie)
{
    struct carried *c = cookie ? *bucket_of(cookie) : NULL;
    while (c && c->cookie != cookie) {
        c = c->next;
    }
    return c;
}

uint64_t carried_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    return syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) ? 0 : cookie;
}

static int number_of(int fd, int level, int name)
{
    int value = 0;
    socklen_t length = sizeof value;
    return syscall(SYS_getsockopt, fd, level, name, &value, &length) ? 0 : value;
}

static struct carried *make(uint64_t cookie)
{
    struct carried *c = unused;
    if (c) {
        unused = c->next;
    } else if (!(c = malloc(sizeof *c))) {
        return NULL;
    }
    memset(c, 0, sizeof *c);
    c->cookie = cookie;
    c->program = (struct end){ .of = c, .fd = -1 };
    c->server = (struct end){ .of = c, .fd = -1 };
    c->up = (struct way){ .from = &c->program, .to = &c->server, .pipe = { -1, -1 } };
    c->down = (struct way){ .from = &c->server, .to = &c->program, .pipe = { -1, -1 } };
    c->next = *bucket_of(cookie);
    *bucket_of(cookie) = c;
    known++;
    open_ones++;
    return c;
}

/* It is not being made any more. */
static void leave_port(struct carried *c)
{
    struct carried **place = &at_port[c->hold == HOLD_SIX][c->port];
    if (*place == c) {
        *place = NULL;
    }
    attempts--;
}

/* Sorts it in among those that are kept for what the program may still ask. */
static void keep(struct carried *c, enum carried_state state)
{
    c->state = state;
    c->older = newest;
    c->newer = NULL;
    *(newest ? &newest->newer : &oldest) = c;
    newest = c;
    open_ones--;
    failures += state == CARRIED_FAILED;
    if (++kept > OVER_MAX) {
        carried_forget(oldest);
    }
}

static void unlist(struct carried *c)
{
    struct carried **place = bucket_of(c->cookie);
    while (*place != c) {
        place = &(*place)->next;
    }
    *place = c->next;
}

/* The program's socket is for something else from now on. */
static void part(struct carried *c)
{
    unlist(c);
    c->cookie = 0;
    c->next = *bucket_of(0);
    *bucket_of(0) = c;
}

/* Events of the same batch may still speak of it. */
static void give_back(struct carried *c)
{
    unlist(c);
    known--;
    c->next = forgotten;
    forgotten = c;
}

void carried_forget(struct carried *c)
{
    *(c->older ? &c->older->newer : &oldest) = c->newer;
    *(c->newer ? &c->newer->older : &newest) = c->older;
    kept--;
    failures -= c->state == CARRIED_FAILED;
    c->state = CARRIED_OVER;
    give_back(c);
}

void carried_tidy(void)
{
    while (forgotten) {
        struct carried *c = forgotten;
        forgotten = c->next;
        c->next = unused;
        unused = c;
    }
}

void carried_over(struct carried *c) { keep(c, CARRIED_OVER); }

static void close_server(struct carried *c, bool reset)
{
    struct linger now = { 1, 0 };
    if (c->server.fd >= 0) {
        if (reset) {
            setsockopt(c->server.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        close(c->server.fd);
        c->server.fd = -1;
    }
}

static bool watch(struct end *end)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = end };
    return !epoll_ctl(carried_set, EPOLL_CTL_ADD, end->fd, &event);
}

int carried_take(const struct carried *c)
{
    int fd = target_take_of(c->process, c->number);
    if (fd >= 0 && carried_cookie(fd) != c->cookie) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void no_sleeper(struct carried *c)
{
    for (unsigned i = 0; c->patience && i < sizeof sleepers / sizeof *sleepers; i++) {
        sleepers[i] = sleepers[i] == c ? NULL : sleepers[i];
    }
    c->patience = 0;
    c->waiting = NULL;
}

/* The thread that sleeps in connect() goes on by itself: the kernel looks what has become of the socket. */
static void wake(struct carried *c)
{
    struct notice *n = c->waiting;
    no_sleeper(c);
    if (n) {
        notice_pass(n);
    }
}

/* The program has closed its socket meanwhile, or nothing can be done for it. */
static void drop(struct carried *c)
{
    leave_port(c);
    if (c->program.fd >= 0) {
        close(c->program.fd);
        c->program.fd = -1;
    }
    close_server(c, true);
    wake(c);
    keep(c, CARRIED_OVER);
}

/* The server cannot be reached: the program is told so, as it asks. */
static void fail(struct carried *c, int error)
{
    struct notice *n = c->waiting;
    int fd = carried_take(c);
    leave_port(c);
    close_server(c, false);
    no_sleeper(c);
    if (n && !notice_is_valid(n)) {
        n->used = false; /* a signal has taken it out of the call, and it asks again later */
        n = NULL;
    }
    if (fd < 0 && !n) {
        /* Under another number, or another process's: what can be reached from here is its connection. */
        struct linger now = { 1, 0 };
        int other = hold_meet(c->hold, c->port);
        if (other >= 0) {
            setsockopt(other, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            close(other);
        }
        keep(c, CARRIED_OVER);
        return;
    }
    if (n) {
        if (fd >= 0) {
            hold_end(fd);
        }
        target_give_back(fd);
        notice_answer(n, error);
        keep(c, CARRIED_OVER);
        carried_forget(c);
    } else {
        hold_refuse(fd, c->hold);
        target_give_back(fd);
        c->error = error;
        keep(c, CARRIED_FAILED);
    }
}

static struct carried *unfinished(void)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct carried *c = buckets[i]; c; c = c->next) {
            if (c->state == CARRIED_MAKING || c->state == CARRIED_JOINING) {
                return c;
            }
        }
    }
    return NULL;
}

void carried_part(void)
{
    for (struct carried *c; (c = unfinished());) {
        drop(c);
    }
}

static int tcp_state(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t length = sizeof info;
    return syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &info, &length) ? TCP_CLOSE : info.tcpi_state;
}

/* The program's socket and the one that has come to meet it are connected. */
static void joined(struct carried *c)
{
    int yes = 1;
    leave_port(c);
    syscall(SYS_setsockopt, c->program.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    syscall(SYS_setsockopt, c->program.fd, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof yes);
    c->state = CARRIED_RELAYING;
    wake(c);
    if (!tls_begin(c)) {
        relay_begin(c);
    }
}

/* The server has accepted the connection. */
static void made(struct carried *c)
{
    socklen_t length = sizeof c->local;
    getsockname(c->server.fd, &c->local.any, &length);
    c->program.fd = hold_meet(c->hold, c->port);
    if (c->program.fd < 0) {
        fail(c, ECONNRESET); /* there is no descriptor, or no port */
        return;
    }
    if (!watch(&c->program)) {
        drop(c);
        return;
    }
    c->state = CARRIED_JOINING;
    if (tcp_state(c->program.fd) == TCP_ESTABLISHED) {
        joined(c);
    }
}

int carried_is_made(struct carried *c, uint32_t events)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(c->server.fd, SOL_SOCKET, SO_ERROR, &error, &length)) {
        error = errno;
    }
    return error ? -error : events & EPOLLOUT && tcp_state(c->server.fd) != TCP_SYN_SENT;
}

static void look_at_server(struct carried *c, uint32_t events)
{
    int made_it = carried_is_made(c, events);
    if (made_it < 0) {
        fail(c, -made_it);
    } else if (made_it) {
        made(c);
    }
}

void carried_event(struct end *end, uint32_t events)
{
    struct carried *c = end->of;
    if (end->fd < 0) {
        return; /* closed by an event of the same batch */
    }
    switch (c->state) {
    case CARRIED_MAKING:
        look_at_server(c, events);
        break;
    case CARRIED_JOINING:
        if (end == &c->program) {
            int state = tcp_state(end->fd);
            if (state == TCP_CLOSE) {
                drop(c);
            } else if (state != TCP_SYN_SENT && state != TCP_SYN_RECV) {
                joined(c);
            }
        } else {
            end->readable = end->readable || events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        }
        break;
    case CARRIED_RELAYING:
        relay_event(end, events);
        break;
    default:
        break;
    }
}

/* Descriptors beyond these are left for what else is needed: two for each program that is known (target.c). */
static bool has_room(void)
{
    static rlim_t most;
    struct rlimit limit;
    if (!most) {
        most = getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < 512 ? 1 : limit.rlim_cur < 60000 ? limit.rlim_cur - 384 : 60000;
    }
    return (rlim_t)open_ones * 2 + relay_pipes() * 2 < most;
}

/* The program has said by itself where the socket goes out, or that it is no ordinary one. */
static bool is_special(int fd)
{
    union address own = { .any.sa_family = AF_UNSPEC };
    char device[64];
    socklen_t length = sizeof own, size = sizeof device;
    if (syscall(SYS_getsockname, fd, &own, &length) || address_port(&own) || !address_is_none(&own)) {
        return true;
    }
    if (!syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_BINDTODEVICE, device, &size) && size) {
        return true;
    }
    return number_of(fd, SOL_SOCKET, SO_MARK) || number_of(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT)
        || number_of(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP;
}

/* Whether a socket is in the network that the supervisor is in. */
static bool is_of_this_network(const struct target *t, int fd)
{
    static uint64_t own, own_inode;
    uint64_t network = 0;
    socklen_t length = sizeof network;
    if (!syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_NETNS_COOKIE, &network, &length)) {
        if (!own) {
            int mine = (int)syscall(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            length = sizeof own;
            syscall(SYS_getsockopt, mine, SOL_SOCKET, SO_NETNS_COOKIE, &own, &length);
            close(mine);
        }
        return network == own;
    }
    struct target self = { .folder = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC) };
    own_inode = own_inode ? own_inode : target_network(&self);
    close(self.folder);
    return own_inode && target_network(t) == own_inode; /* before Linux 5.14 */
}

/* Whether a descriptor is a TCP socket that has not been connected, which this may carry to the address. */
static bool is_ours(const struct target *t, int fd, const union address *to)
{
    return number_of(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM && number_of(fd, SOL_SOCKET, SO_DOMAIN) == to->any.sa_family && !is_special(fd)
        && tcp_state(fd) == TCP_CLOSE && is_of_this_network(t, fd);
}

/* AF_UNSPEC: the program takes back what it has begun. */
static void dissolve(const struct notice *n, const struct target *t)
{
    int fd = carried_known() ? target_take(t, notice_int(n, 0)) : -1;
    struct carried *c = fd >= 0 ? carried_of(carried_cookie(fd)) : NULL;
    if (c && (c->state == CARRIED_MAKING || c->state == CARRIED_JOINING)) {
        drop(c);
    }
    if (c) {
        part(c);
    }
    target_give_back(fd);
}

/* The address that is given to connect(). False: let the kernel say what it thinks of it. */
static bool read_address(const struct notice *n, const struct target *t, union address *to)
{
    int length = notice_int(n, 2);
    memset(to, 0, sizeof *to);
    if (length < (int)sizeof(struct sockaddr_in) || length > (int)sizeof(struct sockaddr_storage)
        || !target_read(t, notice_address(n, 1), to, (size_t)length < sizeof *to ? (size_t)length : sizeof *to)) {
        return false;
    }
    if (to->any.sa_family == AF_UNSPEC) {
        dissolve(n, t);
    }
    return to->any.sa_family == AF_INET || (to->any.sa_family == AF_INET6 && length >= (int)sizeof to->six);
}

static int (*carries)(int, int, int);
static void (*passes)(int, unsigned);

/* What the preload has for the supervisor; without one, nothing is moved. */
static void find_preload(void)
{
    static bool looked;
    if (!looked) {
        *(void **)&carries = dlsym(RTLD_DEFAULT, "midstream_carries");
        *(void **)&passes = dlsym(RTLD_DEFAULT, "midstream_passes");
        looked = true;
    }
}

static void tell_preload(const struct carried *c)
{
    find_preload();
    if (carries) {
        carries(c->server.fd, c->process, c->number);
    }
}

void carried_tell_why(const struct carried *c, unsigned why)
{
    find_preload();
    if (passes) {
        passes(c->server.fd, why);
    }
}

bool carried_anew(struct carried *c)
{
    int yes = 1, server = socket(c->peer.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (server < 0) {
        return false;
    }
    options_copy(c->server.fd, server, c->peer.any.sa_family == AF_INET6);
    close_server(c, true);
    c->server = (struct end){ .of = c, .fd = server };
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(server, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof yes);
    /* From the same port, for the program may have asked for it. */
    syscall(SYS_setsockopt, server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    syscall(SYS_bind, server, &c->local, address_length(&c->local));
    if (connect(server, &c->peer.any, address_length(&c->peer)) && errno != EINPROGRESS) {
        return false;
    }
    tell_preload(c);
    return watch(&c->server);
}

/* What becomes of a call, if not an errno. */
enum { PASSES = -1, SLEEPS = -2 };

/* connect() on a socket that is carried already. */
static int again(struct notice *n, struct carried *c, int fd)
{
    bool waits = !(fcntl(fd, F_GETFL) & O_NONBLOCK);
    if (c->state == CARRIED_FAILED) {
        int error = c->error;
        hold_end(fd);
        carried_forget(c);
        return error;
    }
    if (c->state == CARRIED_RELAYING || tcp_state(fd) == TCP_CLOSE) {
        return PASSES; /* it is connected, or has just been reset: the kernel says so */
    }
    if (!waits) {
        return c->told ? PASSES : EINPROGRESS;
    }
    if (c->waiting && notice_is_valid(c->waiting)) {
        return PASSES; /* another thread waits here already: this one waits in the kernel */
    }
    if (c->waiting) {
        c->waiting->used = false; /* a signal has taken it out of the call, which is made again */
    }
    c->waiting = n;
    if (c->patience) {
        no_sleeper(c);
        return EINTR; /* with a time-out it is not begun anew: signal(7) */
    }
    return SLEEPS;
}

/* How long the thread is ready to sleep in connect(). */
static void set_patience(struct carried *c, int fd)
{
    struct timeval limit = { 0 };
    socklen_t length = sizeof limit;
    if (syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &length) || (!limit.tv_sec && !limit.tv_usec)) {
        return;
    }
    for (unsigned i = 0; i < sizeof sleepers / sizeof *sleepers; i++) {
        if (!sleepers[i]) {
            sleepers[i] = c;
            c->patience = now_ns() + limit.tv_sec * 1000000000LL + limit.tv_usec * 1000LL;
            return;
        }
    }
}

static void look_at_attempts(int64_t now)
{
    attempts_due = now + ATTEMPT_NS;
    for (unsigned six = 0; six < 2; six++) {
        for (unsigned port = 0; port < 65536; port++) {
            struct carried *c = at_port[six][port];
            if (c && c->state == CARRIED_MAKING && now - c->begun >= ATTEMPT_NS && !hold_is_held(c->hold, c->port)) {
                drop(c);
            }
        }
    }
}

int carried_look(void)
{
    int64_t now = now_ns(), next = attempts ? attempts_due : 0;
    if (attempts && now >= attempts_due) {
        look_at_attempts(now);
        next = attempts ? attempts_due : 0;
    }
    for (unsigned i = 0; i < sizeof sleepers / sizeof *sleepers; i++) {
        struct carried *c = sleepers[i];
        if (c && c->patience <= now) {
            struct notice *n = c->waiting;
            no_sleeper(c);
            c->told = n && notice_answer(n, EINPROGRESS);
        } else if (c && (!next || c->patience < next)) {
            next = c->patience;
        }
    }
    return next ? (int)((next - now) / 1000000) + 1 : -1;
}

/* Gives up before anything has begun. */
static int abandon(struct carried *c, bool reset, int verdict)
{
    close_server(c, reset);
    keep(c, CARRIED_OVER);
    carried_forget(c);
    return verdict;
}

/* Makes the connection, of which *made is told. */
static int carry(struct notice *n, const struct target *t, int fd, const union address *to, struct carried **made)
{
    bool waits = !(fcntl(fd, F_GETFL) & O_NONBLOCK);
    int yes = 1, server = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    struct carried *c = server >= 0 ? make(carried_cookie(fd)) : NULL;
    if (!c) {
        target_give_back(server);
        return PASSES;
    }
    c->state = CARRIED_MAKING;
    c->server.fd = server;
    c->begun = now_ns();
    c->process = t->process;
    c->number = notice_int(n, 0);
    c->peer = *to;
    c->hold = address_is_mapped(to) ? HOLD_MAPPED : to->any.sa_family == AF_INET ? HOLD_FOUR : HOLD_SIX;
    options_copy(fd, server, to->any.sa_family == AF_INET6);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(server, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof yes);
    int error = connect(server, &to->any, address_length(to)) ? errno : 0;
    if (error && error != EINPROGRESS) {
        return abandon(c, false, error);
    }
    tell_preload(c);
    c->port = hold_begin(fd, c->hold);
    if (!c->port || !watch(&c->server)) {
        hold_end(fd);
        return abandon(c, true, PASSES); /* over loopback no port is left, for example */
    }
    struct carried **place = &at_port[c->hold == HOLD_SIX][c->port], *former = *place;
    *place = c;
    if (former) {
        drop(former); /* its socket has been closed, or its port would not be free */
    }
    *made = c;
    attempts_due = attempts++ ? attempts_due : c->begun + ATTEMPT_NS;
    if (!waits) {
        return EINPROGRESS;
    }
    c->waiting = n;
    set_patience(c, fd);
    return SLEEPS;
}

static int decide(struct notice *n, const struct target *t, int fd, const union address *to, struct carried **c)
{
    struct carried *former = carried_of(carried_cookie(fd));
    if (former && former->state != CARRIED_OVER) {
        *c = former->state == CARRIED_MAKING || former->state == CARRIED_JOINING ? former : NULL;
        return again(n, former, fd);
    }
    if (!is_ours(t, fd, to) || address_stays_here(to) || !notice_is_valid(n)) {
        return PASSES;
    }
    if (former) {
        carried_forget(former); /* a socket that is connected a second time */
    }
    return carry(n, t, fd, to, c);
}

void carried_connect(struct notice *n)
{
    union address to;
    struct carried *c = NULL;
    struct target *t = target_of(n);
    bool asks = notice_int(n, 2) == CARRIED_LENGTH;
    bool wanted = t && (!t->serves_itself || asks) && read_address(n, t, &to) && ports_have(address_port(&to)) && has_room();
    int fd = wanted ? target_take(t, notice_int(n, 0)) : -1, verdict = fd >= 0 ? decide(n, t, fd, &to, &c) : PASSES;
    target_give_back(fd);
    if (verdict == PASSES) {
        notice_pass(n);
    } else if (verdict != SLEEPS) {
        bool there = notice_answer(n, verdict);
        if (c && verdict == EINPROGRESS) {
            c->told = there;
        }
    }
}
