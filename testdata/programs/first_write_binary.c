/* A first write that is not HTTP leaves the stream alone, even when HTTP follows. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int client, peer;
    tcp_pair(&client, &peer);
    unsigned char buffer[3000], octets[256];
    for (int i = 0; i < 256; i++)
        octets[i] = (unsigned char)i;
    CALL(write(client, octets, 256));
    CALL(recv(peer, buffer, 256, MSG_WAITALL));
    say("%08x\n", fold(SUM, buffer, 256));
    ask(client, "/after");
    char expected[400];
    size_t n = compose(expected, "/after");
    CALL(recv(peer, buffer, n, MSG_WAITALL) == (ssize_t)n);
    CALL(write(peer, octets, 256));
    body(client, 256);
    CALL(close(client));
    CALL(read(peer, buffer, 10));
    return 0;
}
