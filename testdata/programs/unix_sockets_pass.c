/* UNIX stream, datagram and abstract sockets pass untouched, also with HTTP on them. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "observe-%d", getpid());
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CALL(bind(listener, (struct sockaddr *)&name, sizeof name));
    CALL(listen(listener, 1));
    CALL(connect(fd, (struct sockaddr *)&name, sizeof name));
    int peer = (int)CALL(accept(listener, NULL, NULL));
    CALL(write(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27));
    settle();
    char buffer[100];
    CALL(read(peer, buffer, sizeof buffer));
    CALL(write(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 39));
    CALL(recv(fd, buffer, sizeof buffer, 0));
    CALL(shutdown(peer, SHUT_WR));
    CALL(recv(fd, buffer, sizeof buffer, 0));
    int pair[2];
    CALL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    CALL(send(pair[0], "abcdef", 6, 0));
    CALL(recv(pair[1], buffer, 3, MSG_TRUNC));
    CALL(close(pair[0]));
    CALL(recv(pair[1], buffer, 3, 0));
    fetch("/fixed/10");
    return 0;
}
