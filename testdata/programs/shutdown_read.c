/* After shutdown(SHUT_RD) what has arrived can still be read, then 0; the socket still sends. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    char buffer[10000];
    ask(fd, "/hang/20000");
    head(fd);
    recv(fd, buffer, 10000, MSG_PEEK | MSG_WAITALL);
    CALL(shutdown(fd, SHUT_RD));
    body(fd, 10000);
    CALL(recv(fd, buffer, 10, 0));
    CALL(recv(fd, buffer, 10, MSG_DONTWAIT));
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    CALL(poll(&p, 1, 0));
    say("revents %x\n", p.revents);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(shutdown(fd, SHUT_WR));
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(close(fd));
    return 0;
}
