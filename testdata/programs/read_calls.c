/* read, readv, recvfrom, recvmsg, recvmmsg and their results on one response. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    unsigned char a[100], b[300], control[64];
    struct iovec parts[3] = {{a, sizeof a}, {NULL, 0}, {b, sizeof b}};
    int fd = dial();
    ask(fd, "/fixed/20000");
    head(fd);
    static char all[20000];
    recv(fd, all, sizeof all, MSG_PEEK | MSG_WAITALL); /* all has arrived before a count is printed */
    CALL(read(fd, a, sizeof a));
    say("%08x\n", fold(SUM, a, sizeof a));
    CALL(readv(fd, parts, 3));
    say("%08x\n", fold(fold(SUM, a, sizeof a), b, sizeof b));
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    CALL(recvfrom(fd, a, sizeof a, 0, (struct sockaddr *)&from, &length));
    say("length %u %08x\n", length, fold(SUM, a, sizeof a));
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 3, .msg_control = control, .msg_controllen = sizeof control,
                       .msg_name = &from, .msg_namelen = sizeof from};
    CALL(recvmsg(fd, &m, MSG_WAITALL));
    say("flags %d control %zu name %u %08x\n", m.msg_flags, m.msg_controllen, m.msg_namelen,
        fold(fold(SUM, a, sizeof a), b, sizeof b));
    unsigned char c[100], d[200];
    struct iovec one = {c, sizeof c}, two = {d, sizeof d};
    struct mmsghdr many[2] = {{.msg_hdr = {.msg_iov = &one, .msg_iovlen = 1}},
                              {.msg_hdr = {.msg_iov = &two, .msg_iovlen = 1}}};
    CALL(recvmmsg(fd, many, 2, 0, NULL));
    say("%u %u %08x\n", many[0].msg_len, many[1].msg_len, fold(fold(SUM, c, sizeof c), d, sizeof d));
    struct timespec limit = {1, 0};
    CALL(recvmmsg(fd, many, 2, MSG_WAITFORONE, &limit));
    CALL(recv(fd, b, 0, 0));
    CALL(readv(fd, parts, 0));
    int unread;
    CALL(ioctl(fd, FIONREAD, &unread));
    body(fd, unread);
    say("unread %d\n", unread);
    get(fd, "/fixed/10");
    return 0;
}
