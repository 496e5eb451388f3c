/* A filter that denies recvfrom and recvmsg is set amid a download that is read with read(). */
#include "observe.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

static void reads(int fd, long length)
{
    unsigned char buffer[4096];
    uint32_t sum = SUM;
    while (length > 0) {
        ssize_t n = read(fd, buffer, length < (long)sizeof buffer ? (size_t)length : sizeof buffer);
        if (n < 0 && errno == EAGAIN && readable(fd))
            continue;
        if (n <= 0)
            fail("read");
        sum = fold(sum, buffer, (size_t)n);
        length -= n;
    }
    say("sum %08x\n", sum);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvfrom, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvmsg, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    int fd = dial();
    ask(fd, "/fixed/2000000");
    long length = head(fd);
    CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CALL(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    reads(fd, 1000);
    CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
    reads(fd, length - 1000);
    CALL(recv(fd, &length, 1, MSG_DONTWAIT));
    return 0;
}
