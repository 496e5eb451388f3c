/* The server resets in the middle: what arrived is read, then ECONNRESET, once, then the end. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int client, peer;
    tcp_pair(&client, &peer);
    ask(client, "/file");
    char request[500], answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n0123456789", octet;
    CALL(recv(peer, request, sizeof request, 0) > 0);
    send_all(peer, answer, strlen(answer));
    say("length %ld\n", head(client));
    body(client, 10);
    struct linger reset = {1, 0};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    CALL(close(peer));
    struct pollfd p = {.fd = client, .events = POLLIN};
    CALL(poll(&p, 1, 10000));
    say("revents %x\n", p.revents);
    CALL(recv(client, &octet, 1, 0));
    CALL(recv(client, &octet, 1, 0));
    CALL(send(client, "x", 1, MSG_NOSIGNAL));
    int error;
    CALL(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error}));
    say("error %d\n", error);
    CALL(close(client));
    return 0;
}
