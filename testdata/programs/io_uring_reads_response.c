/* io_uring (raw system calls) reads a part of the response; a word where it is not to be had. */
#include "observe.h"

#include <linux/io_uring.h>

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct io_uring_params p = {0};
    int fd = begin_download();
    long ring = syscall(SYS_io_uring_setup, 4, &p);
    if (ring < 0) {
        say("no io_uring here\n");
        return 0;
    }
    char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, (int)ring, IORING_OFF_SQ_RING);
    char *cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED,
                    (int)ring, IORING_OFF_CQ_RING);
    struct io_uring_sqe *entries = mmap(NULL, p.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED,
                                        (int)ring, IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || entries == MAP_FAILED)
        fail("mmap");
    unsigned char buffer[5000];
    entries[0] = (struct io_uring_sqe){.opcode = IORING_OP_RECV, .fd = fd, .addr = (uintptr_t)buffer,
                                       .len = sizeof buffer, .msg_flags = MSG_WAITALL};
    *(unsigned *)(void *)(sq + p.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(void *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    CALL(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
    struct io_uring_cqe *done = (struct io_uring_cqe *)(void *)(cq + p.cq_off.cqes);
    say("result %d sum %08x\n", done->res, fold(SUM, buffer, sizeof buffer));
    body(fd, 10000);
    get(fd, "/fixed/100");
    return 0;
}
