/* poll's revents before, during and after a response, for a closed number and for no events. */
#include "observe.h"

static void show(int fd, short events, int limit)
{
    struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = -1, .events = POLLIN}};
    int n = poll(p, 2, limit);
    say("poll(%x) = %d revents %x %x\n", events, n, p[0].revents, p[1].revents);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    show(fd, POLLIN | POLLOUT, 0);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
        fail("connect");
    show(fd, POLLIN | POLLOUT, 0);
    show(fd, POLLIN | POLLRDHUP, 10);
    ask(fd, "/fixed/1000");
    show(fd, POLLIN, 10000);
    show(fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 10000);
    show(fd, 0, 10);
    body(fd, head(fd));
    show(fd, POLLIN, 20);
    ask(fd, "/close/1000");
    body(fd, head(fd));
    show(fd, POLLRDHUP, 10000);
    show(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
    CALL(shutdown(fd, SHUT_WR));
    show(fd, 0, 0);
    show(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
    close(fd);
    show(fd, POLLIN, 0);
    CALL(poll(NULL, 0, 5));
    return 0;
}
