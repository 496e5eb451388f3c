/* Heads that are folded, huge, malformed, interim or missing reach the program octet for octet. */
#include "observe.h"

static void exchange(const char *answer, size_t length)
{
    int client, peer;
    tcp_pair(&client, &peer);
    ask(client, "/odd");
    send_all(peer, answer, length);
    shutdown(peer, SHUT_WR);
    body(client, (long)length);
    char octet;
    CALL(recv(client, &octet, 1, 0));
    CALL(close(client));
    CALL(close(peer));
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    static const char *answers[] = {
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 3\r\n\r\nabcmore than announced",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        "HTTP/1.0 200\r\n\r\nuntil the end",
        "HTTP/2 hello", "no head at all", "\r\n\r\n", "220 ftp ready\r\n", "H", "",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
        "HTTP/1.1 416 No\r\nContent-Range: bytes */10\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x01\x02\x03",
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        exchange(answers[i], strlen(answers[i]));
    static char huge[300000];
    size_t n = (size_t)sprintf(huge, "HTTP/1.1 200 OK\r\n");
    while (n < 200000)
        n += (size_t)sprintf(huge + n, "X-%zu: %0200d\r\n", n, 7);
    n += (size_t)sprintf(huge + n, "Content-Length: 3\r\n\r\nabc");
    exchange(huge, n);
    memset(huge, 0, sizeof huge);
    exchange(huge, 100000);
    return 0;
}
