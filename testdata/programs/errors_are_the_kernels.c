/* Wrong arguments give the same errors on a tracked socket as on any other. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    char buffer[16];
    void *volatile bad = (void *)8; /* volatile: the compiler shall not see through it */
    volatile int minus = -1;
    int fd = begin_download(), null = open("/dev/null", O_RDWR);
    CALL(recv(fd, bad, 10, 0));
    CALL(read(fd, bad, 10));
    CALL(recv(fd, buffer, 0, 0));
    CALL(read(fd, buffer, 0));
    CALL(recv(-1, buffer, 1, 0));
    CALL(recv(1000000, buffer, 1, 0));
    CALL(read(999, buffer, 1));
    CALL(recv(null, buffer, 1, 0));
    CALL(send(null, buffer, 1, 0));
    CALL(write(-1, buffer, 1));
    CALL(send(fd, bad, 10, MSG_NOSIGNAL));
    CALL(write(fd, bad, 10));
    CALL(send(fd, "", 0, 0));
    CALL(readv(fd, NULL, 0));
    CALL(readv(fd, bad, 1));
    CALL(writev(fd, bad, 1));
    CALL(recvmsg(fd, bad, 0));
    CALL(sendmsg(fd, bad, 0));
    CALL(recvmmsg(fd, bad, 1, 0, NULL));
    CALL(readv(fd, &(struct iovec){buffer, 1}, minus));
    CALL(recv(fd, buffer, 1, MSG_OOB));
    CALL(recv(fd, buffer, 1, MSG_ERRQUEUE));
    CALL(shutdown(fd, 99));
    CALL(shutdown(-1, SHUT_RD));
    CALL(shutdown(null, SHUT_RD));
    CALL(connect(fd, (struct sockaddr *)&server, sizeof server));
    CALL(connect(fd, (struct sockaddr *)&server, 3));
    CALL(connect(-1, (struct sockaddr *)&server, sizeof server));
    CALL(connect(null, (struct sockaddr *)&server, sizeof server));
    CALL(listen(fd, 1));
    CALL(accept(fd, NULL, NULL));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(pread(fd, buffer, 1, 0));
    CALL(pwrite(fd, buffer, 1, 0));
    CALL(ioctl(fd, FIONREAD, bad));
    CALL(ioctl(fd, TIOCGWINSZ, buffer));
    CALL(fcntl(fd, 12345, 0));
    CALL(fcntl(fd, F_DUPFD, -1));
    CALL(fcntl(-1, F_GETFL));
    CALL(dup(-1));
    CALL(dup2(fd, -1));
    CALL(dup3(fd, 20, 1));
    CALL(close(-1));
    CALL(poll(bad, 1, 0));
    CALL(select(-1, NULL, NULL, NULL, NULL));
    CALL(select(fd + 1, bad, NULL, NULL, NULL));
    CALL(epoll_wait(fd, bad, 1, 0));
    CALL(epoll_ctl(fd, EPOLL_CTL_ADD, fd, NULL));
    CALL(getsockopt(fd, SOL_SOCKET, 9999, buffer, &(socklen_t){4}));
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, buffer, 1));
    CALL(getpeername(fd, bad, &(socklen_t){16}));
    CALL(getsockname(-1, NULL, NULL));
    CALL(sendfile(fd, 999, NULL, 1));
    CALL(splice(fd, NULL, null, NULL, 1, 0));
    CALL(socket(AF_INET, 77, 0));
    CALL(socket(999, SOCK_STREAM, 0));
    CALL(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    CALL(syscall(99999));
    body(fd, 15000);
    return 0;
}
