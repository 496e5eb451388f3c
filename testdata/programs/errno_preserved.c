/* Calls that succeed leave errno as it was, whatever it was. */
#include "observe.h"

#define KEPT(expression)                                          \
    do {                                                          \
        errno = 4242;                                             \
        if ((long)(expression) < 0)                               \
            fail(#expression);                                    \
        say("%s errno %d\n", #expression, errno);                 \
    } while (0)

int main(int argc, char **argv)
{
    begin(argc, argv);
    char request[400], buffer[3000];
    int fd;
    KEPT(fd = socket(AF_INET, SOCK_STREAM, 0));
    KEPT(connect(fd, (struct sockaddr *)&server, sizeof server));
    size_t n = compose(request, "/fixed/3000");
    KEPT(write(fd, request, n));
    settle();
    head(fd);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    KEPT(poll(&p, 1, 10000));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    KEPT(select(fd + 1, &set, NULL, NULL, NULL));
    KEPT(read(fd, buffer, 10));
    KEPT(recv(fd, buffer, 10, 0));
    KEPT(recvfrom(fd, buffer, 10, 0, NULL, NULL));
    struct iovec part = {buffer, 10};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    KEPT(readv(fd, &part, 1));
    KEPT(recvmsg(fd, &message, 0));
    int value;
    socklen_t length = sizeof value;
    KEPT(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length));
    KEPT(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
    KEPT(ioctl(fd, FIONREAD, &value));
    KEPT(fcntl(fd, F_GETFL));
    KEPT(fcntl(fd, F_SETFL, O_RDWR));
    KEPT(dup(fd));
    KEPT(dup2(fd, 30));
    KEPT(dup3(fd, 31, 0));
    KEPT(close(30));
    KEPT(drain(fd, 2950, SUM) >> 1);
    KEPT(send(fd, request, n, 0));
    head(fd);
    KEPT(drain(31, 3000, SUM) >> 1);
    KEPT(shutdown(fd, SHUT_RDWR));
    KEPT(close(fd));
    return 0;
}
