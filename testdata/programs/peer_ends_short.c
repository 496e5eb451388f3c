/* The server ends before Content-Length octets: the end is reported where it is. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int client, peer;
    tcp_pair(&client, &peer);
    ask(client, "/file");
    char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n0123456789", octet;
    send_all(peer, answer, strlen(answer));
    shutdown(peer, SHUT_WR);
    say("length %ld\n", head(client));
    body(client, 10);
    CALL(recv(client, &octet, 1, 0));
    CALL(recv(client, &octet, 1, 0));
    CALL(send(client, "x", 1, 0));
    CALL(recv(peer, &octet, 1, 0));
    CALL(close(client));
    return 0;
}
