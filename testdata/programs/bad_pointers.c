/* A pointer that leads nowhere is EFAULT, and no flag is mistaken for something else. */
#include "observe.h"

static char *nowhere; /* an octet there can be read, and none after it */
static char *volatile nothing = (char *)8;

static void try(int fd)
{
    static char room[64];
    struct msghdr message = {.msg_iov = (struct iovec *)nowhere, .msg_iovlen = 2};
    struct mmsghdr several[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
    struct epoll_event event = {.events = EPOLLIN};
    int queue = epoll_create1(0), other = socket(AF_INET, SOCK_STREAM, 0);
    CALL(connect(other, (struct sockaddr *)nowhere, sizeof(struct sockaddr_in)));
    CALL(connect(other, (struct sockaddr *)nothing, sizeof(struct sockaddr_in)));
    CALL(sendto(other, room, 4, MSG_FASTOPEN, (struct sockaddr *)nowhere, sizeof(struct sockaddr_in)));
    CALL(sendmsg(fd, (struct msghdr *)nowhere, 0));
    CALL(sendmsg(fd, (struct msghdr *)nothing, 0));
    CALL(sendmsg(fd, &message, 0));
    CALL(sendmmsg(fd, (struct mmsghdr *)nowhere, 2, 0));
    CALL(sendmmsg(fd, several, 2, 0));
    CALL(writev(fd, (struct iovec *)nowhere, 2));
    CALL(send(fd, nowhere + 1, 4, 0));
    CALL(recv(fd, nowhere + 1, 4, MSG_PEEK));
    CALL(recvmsg(fd, (struct msghdr *)nowhere, 0));
    CALL(recvmsg(fd, &message, 0));
    CALL(recvmsg(fd, &message, MSG_WAITALL));
    CALL(recvmmsg(fd, (struct mmsghdr *)nowhere, 2, MSG_DONTWAIT, NULL));
    CALL(recvmmsg(fd, several, 2, 0, NULL));
    CALL(readv(fd, (struct iovec *)nowhere, 2));
    CALL(readv(fd, (struct iovec *)nothing, 2));
    CALL(poll((struct pollfd *)nowhere, 1, 10));
    CALL(poll((struct pollfd *)nowhere, 5000, 10));
    CALL(poll((struct pollfd *)nothing, 2, 10));
    CALL(ppoll((struct pollfd *)nowhere, 2, NULL, NULL));
    CALL(select(fd + 1, (fd_set *)nowhere, NULL, NULL, &(struct timeval){0, 0}));
    CALL(select(fd + 1, NULL, (fd_set *)nowhere, NULL, &(struct timeval){0, 0}));
    CALL(pselect(fd + 1, NULL, NULL, (fd_set *)nowhere, &(struct timespec){0, 0}, NULL));
    CALL(epoll_ctl(queue, EPOLL_CTL_ADD, fd, (struct epoll_event *)nowhere));
    CALL(epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_wait(queue, (struct epoll_event *)nowhere, 1, 10000));
    CALL(epoll_pwait2(queue, &event, 1, (struct timespec *)nowhere, NULL));
    CALL(getpeername(fd, (struct sockaddr *)nowhere, &(socklen_t){16}));
    CALL(getpeername(fd, (struct sockaddr *)room, (socklen_t *)nowhere));
    CALL(getsockname(fd, (struct sockaddr *)room, (socklen_t *)nowhere));
    CALL(ioctl(fd, FIONREAD, nowhere));
    CALL(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, nowhere, &(socklen_t){4}));
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, nowhere, 4));
    CALL(recv(fd, room, 4, -1));
    CALL(recvfrom(fd, room, 4, -1, NULL, NULL));
    CALL(recv(fd, room, 4, INT_MIN));
    close(queue);
    close(other);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE) != 0)
        fail("mmap");
    nowhere = pages + page - 1;
    int fd = begin_download();
    if (!readable(fd))
        fail("poll");
    try(fd);
    return 0;
}
