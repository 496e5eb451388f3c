/* An active socket is passed to a child by SCM_RIGHTS; the child reads the rest. */
#include "observe.h"

static void pass(int channel, int fd)
{
    char octet = 'x', control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec part = {&octet, 1};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(channel, &m, 0) != 1)
        fail("sendmsg");
}

static int take(int channel)
{
    char octet, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&octet, 1};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CALL(recvmsg(channel, &m, 0));
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    say("got descriptor %d, control %zu, flags %d\n", fd, m.msg_controllen, m.msg_flags);
    return fd;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        fail("socketpair");
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        int fd = take(ends[1]);
        body(fd, 15000);
        get(fd, "/fixed/99");
        _exit(0);
    }
    close(ends[1]);
    int fd = begin_download();
    pass(ends[0], fd);
    close(fd);
    wait_for(pid);
    fetch("/fixed/98");

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        fail("socketpair");
    fd = begin_download();
    pass(ends[0], fd);
    int twin = take(ends[1]);
    body(twin, 5000);
    body(fd, 5000);
    close(fd);
    body(twin, 5000);
    return 0;
}
