/* A refused connect, blocking and not, gives ECONNREFUSED; then the descriptor connects elsewhere. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int holder = socket(AF_INET, SOCK_STREAM, 0), error;
    if (bind(holder, (struct sockaddr *)&a, sizeof a) != 0)
        fail("bind");
    getsockname(holder, (struct sockaddr *)&a, &length);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CALL(connect(fd, (struct sockaddr *)&a, sizeof a));
    CALL(connect(fd, (struct sockaddr *)&server, sizeof server));
    get(fd, "/fixed/1000");
    CALL(close(fd));
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CALL(connect(fd, (struct sockaddr *)&a, sizeof a));
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    CALL(poll(&p, 1, 10000));
    say("revents %d\n", p.revents);
    length = sizeof error;
    CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
    say("error %s\n", strerrorname_np(error));
    CALL(recv(fd, &error, 1, 0));
    CALL(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL));
    return 0;
}
