/* Out-of-band octets on a tracked connection: MSG_OOB, SO_OOBINLINE, sockatmark, POLLPRI. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int client, peer;
    tcp_pair(&client, &peer);
    ask(client, "/urgent");
    char octet = 0, answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc";
    send_all(peer, answer, strlen(answer));
    CALL(send(peer, "!", 1, MSG_OOB));
    send_all(peer, "def", 3);
    struct pollfd p = {.fd = client, .events = POLLPRI};
    CALL(poll(&p, 1, 10000));
    say("revents %x\n", p.revents);
    say("length %ld\n", head(client));
    body(client, 3);
    CALL(sockatmark(client));
    CALL(recv(client, &octet, 1, MSG_OOB));
    say("%c\n", octet);
    body(client, 3);
    CALL(recv(client, &octet, 1, MSG_OOB));
    return 0;
}
