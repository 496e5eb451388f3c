/* A GET over IPv6 loopback from the program's own server; a word where there is no IPv6. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t length = sizeof a;
    int listener = socket(AF_INET6, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof a) != 0) {
        say("no IPv6 here\n");
        return 0;
    }
    CALL(listen(listener, 1));
    getsockname(listener, (struct sockaddr *)&a, &length);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    CALL(connect(fd, (struct sockaddr *)&a, sizeof a));
    int peer = accept(listener, NULL, NULL);
    ask(fd, "/six");
    char request[400], answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"a\"\r\n\r\n0123456789";
    CALL(recv(peer, request, sizeof request, 0) > 60);
    send_all(peer, answer, strlen(answer));
    body(fd, head(fd));
    struct sockaddr_storage any;
    length = sizeof any;
    CALL(getpeername(fd, (struct sockaddr *)&any, &length));
    say("%u %d\n", length, any.ss_family);
    CALL(close(fd));
    CALL(recv(peer, request, 1, 0));
    return 0;
}
