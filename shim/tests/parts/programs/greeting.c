/*
 * greeting.c: a ClientHello that nobody answers, whose connection is replaced by another one, and comes back. Exit status 0: for as
 * long as the path may take, no other one is made; others do not wait for ever while one thread looks; and whoever withdraws the
 * handshake, at whatever moment, has the program's own connection back, whether its epoll sets are known or not.
 */
#include "wait/attempt.c"
#include "wait/flight.c"
#include "stream/gate.c"
#include "framing/hello.c"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>

#include "not_called.h"

#define MS 1000000LL

_Atomic(struct stream *) stream_table[STREAM_TABLE];
_Atomic(uint32_t *) fork_page;
_Atomic uint32_t agent_there = 1, stream_open_count, withdraw_silent;
struct ms_shared shared;

static struct stream stream = { .stage = STAGE_CANDIDATE, .kept.fd = -1, .next.fd = -1 };
static struct tcp_info heard;
static int64_t now;
static bool sets_known, amid, joins;
static int made;
static pthread_t other;

int64_t coarse_now_ns(void)
{
    return now;
}

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static int tell(int fd, int level, int name, void *value, socklen_t *length)
{
    if (level == IPPROTO_TCP && name == TCP_INFO) {
        memcpy(value, &heard, *length = *length < sizeof heard ? *length : sizeof heard);
        return 0;
    }
    return getsockopt(fd, level, name, value, length);
}

static void *withdraw(void *unused)
{
    attempt_withdraw(&stream);
    return unused;
}

/* What a look asks the kernel. */
unsigned fallback_routes(int fd, const struct sockaddr *address, uint32_t own, bool lost, uint32_t *routes)
{
    (void)fd, (void)address, (void)own, (void)lost;
    if (attempts_left() > 1000 * MS) {
        fail("another thread would wait for ever");
    }
    if (amid) {
        pthread_create(&other, NULL, withdraw, NULL);
        for (int i = 0; i < 20; i++) {
            REAL(poll)(NULL, 0, 1);
            if (!atomic_load(&stream.attempt.state)) {
                fail("withdrawn amid a look");
            }
        }
        joins = true;
        amid = false;
    }
    *routes = 2;
    return 1;
}

int fallback_socket(int fd, uint32_t index, const struct sockaddr *address, socklen_t length)
{
    (void)fd, (void)index, (void)address, (void)length;
    made++;
    return socket(AF_INET, SOCK_STREAM, 0);
}

enum ms_why epoll_know(struct stream *s)
{
    return sets_known ? MS_WHY_NONE : MS_WHY_EPOLL_MANY;
}

void epoll_part(struct stream *s, int fd) { }
void epoll_join(struct stream *s, int fd) { }
bool fallback_is_possible(const struct sockaddr *address, socklen_t length) { return true; }
bool fallback_is_lost(uint32_t index) { return false; }
uint32_t fallback_interface_of(int fd) { return 1; }
bool fork_same_process(void) { return true; }
uint32_t fork_children(void) { return 0; }
void own_add(int fd) { }
void own_remove(int fd) { }
void agent_wake(void) { }
struct stream *stream_slot(uint32_t slot) { return slot ? NULL : &stream; }
uint32_t stream_slots_used(void) { return 1; }
unsigned names_others(const char *name, const struct sockaddr_in6 *address, struct sockaddr_in6 *others, unsigned most) { return 0; }

NOT_CALLED(agent_ensure)
NOT_CALLED(caller_is_here)
NOT_CALLED(fallback_is_cut_off)
NOT_CALLED(fallback_reaches)
NOT_CALLED(fork_forget)
NOT_CALLED(fork_watch)
NOT_CALLED(stream_closed)

/* A connection on which a ClientHello has been sent. Returns its inode. */
static uint64_t greet(const struct sockaddr_in *to)
{
    static const uint8_t hello[12] = { 22, 3, 1, 0, 7, 1, 0, 0, 3 };
    now += 100000 * MS;
    sets_known = true;
    amid = false;
    made = 0;
    stream.fd = socket(AF_INET, SOCK_STREAM, 0);
    memcpy(&stream.peer, to, sizeof *to);
    if (connect(stream.fd, (const struct sockaddr *)to, sizeof *to)) {
        exit(2);
    }
    atomic_store(&stream_table[stream.fd], &stream);
    attempt_greeted(&stream, hello, sizeof hello);
    if (!attempts_are_open()) {
        fail("it is not followed");
    }
    return socket_inode(stream.fd);
}

/* The threads' waits look as time goes by. */
static void pass(int64_t until)
{
    for (int64_t begun = now; now < begun + until; now += 10 * MS) {
        attempts_look();
    }
}

static void is_back(uint64_t own, const char *how)
{
    if (joins) {
        pthread_join(other, NULL);
        joins = false;
    }
    if (attempts_are_open() || socket_inode(stream.fd) != own || stream.kept.fd >= 0 || stream.attempt.flight || stream.moved) {
        fail(how);
    }
    close(stream.fd);
}

int main(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof to;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&to, sizeof to) || listen(listener, 100) || getsockname(listener, (struct sockaddr *)&to, &length)) {
        return 2;
    }
    atomic_store(&calls_real[CALL_getsockopt], (void *)tell);
    static const struct { uint32_t rtt, unacked; int before, after; } paths[] = {
        { 1000, 1, 280, 420 }, { 1000, 0, 1080, 1220 }, { 700000, 1, 1380, 1620 }, { 700000, 0, 2080, 2320 },
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        uint64_t own = greet(&to);
        heard.tcpi_rtt = paths[i].rtt;
        heard.tcpi_unacked = paths[i].unacked;
        pass(paths[i].before * MS);
        if (made) {
            fail("the path has not had its time");
        }
        pass((paths[i].after - paths[i].before) * MS);
        if (made != 1 || socket_inode(stream.fd) == own || !stream.moved) {
            fail("nobody else is asked");
        }
        sets_known = false;
        attempts_withdraw();
        is_back(own, "withdrawn");
    }
    for (int64_t moment = 300; moment < 340; moment += 10) {
        heard.tcpi_rtt = 1000;
        heard.tcpi_unacked = 1;
        uint64_t own = greet(&to);
        amid = true;
        pass(moment * MS + 100 * MS);
        is_back(own, "withdrawn amid a look");
    }
    return 0;
}
