/*
 * ring: a download whose socket is in an epoll set that only the kernel knows of: put there, and changed, by io_uring, as libuv does.
 *
 *     ring FILE HOST PORT PATH
 *
 * Prints how many octets of content came, and whether that is all of FILE.
 */
#define _GNU_SOURCE
#include "copy.h"

#include <linux/io_uring.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

static int ring, set;
static char *queue;
static struct io_uring_sqe *entries;
static struct io_uring_params parameters;

static int change(int operation, int fd, struct epoll_event *event)
{
    unsigned *tail = (unsigned *)(queue + parameters.sq_off.tail), *completed = (unsigned *)(queue + parameters.cq_off.tail);
    unsigned at = *tail & (parameters.sq_entries - 1);
    memset(&entries[at], 0, sizeof entries[at]);
    entries[at].opcode = IORING_OP_EPOLL_CTL;
    entries[at].fd = set;
    entries[at].off = (unsigned)fd;
    entries[at].len = (unsigned)operation;
    entries[at].addr = (uintptr_t)event;
    ((unsigned *)(queue + parameters.sq_off.array))[at] = at;
    __atomic_add_fetch(tail, 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
        die("io_uring_enter");
    unsigned head = *(unsigned *)(queue + parameters.cq_off.head), end = __atomic_load_n(completed, __ATOMIC_ACQUIRE);
    struct io_uring_cqe *results = (struct io_uring_cqe *)(queue + parameters.cq_off.cqes);
    int result = head == end ? -1 : results[head & (parameters.cq_entries - 1)].res;
    __atomic_store_n((unsigned *)(queue + parameters.cq_off.head), end, __ATOMIC_RELEASE);
    return result;
}

int main(int argc, char **argv)
{
    static struct response r;
    static char buffer[65536];
    if (argc != 5)
        return 2;
    load_copy(argv[1]);
    ring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
    if (ring < 0 || !(parameters.features & IORING_FEAT_SINGLE_MMAP))
        die("io_uring_setup");
    size_t queue_size = parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned);
    size_t results_size = parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe);
    queue = mmap(NULL, queue_size > results_size ? queue_size : results_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    entries = mmap(NULL, parameters.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    if (queue == MAP_FAILED || entries == MAP_FAILED)
        die("mmap");
    set = epoll_create1(EPOLL_CLOEXEC);
    int fd = dial(look_up(argv[2], argv[3]), 0);
    if (fd < 0)
        die("connect");
    struct epoll_event event = { .events = EPOLLOUT, .data.u64 = 0xfeedULL << 32 | (unsigned)fd }, shown;
    if (change(EPOLL_CTL_ADD, fd, &event))
        die("EPOLL_CTL_ADD");
    ask(fd, argv[2], argv[4]);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    int64_t have = 0;
    for (unsigned turn = 0; !r.complete_head || r.left; turn++) {
        event.events = turn % 3 ? EPOLLIN : EPOLLIN | EPOLLRDHUP;
        int result = change(EPOLL_CTL_MOD, fd, &event);
        if (result) {
            printf("EPOLL_CTL_MOD: %s\n", strerror(-result));
            return 1;
        }
        if (epoll_wait(set, &shown, 1, 10000) != 1) {
            puts("no event");
            return 1;
        }
        if (shown.data.u64 != event.data.u64)
            puts("another's event");
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n <= 0 || (shown.events & EPOLLHUP && n < (ssize_t)sizeof buffer))
            break;
        ssize_t content = take(&r, buffer, (size_t)n);
        if (content < 0 || have + content > size || memcmp(copy + have, buffer + n - content, (size_t)content)) {
            puts("other octets");
            return 1;
        }
        have += content;
    }
    printf("%lld %s\n", (long long)have, have == size ? "whole" : "part");
    return 0;
}
