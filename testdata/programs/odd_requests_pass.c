/* Requests that are malformed, lower case, HTTP/1.0, HTTP/0.9 or huge reach the server octet for octet. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    static const char *requests[] = {
        "GET /\r\n", "GET / HTTP/1.0\r\n\r\n", "get / http/1.1\r\n\r\n", "GET  /  HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/9.9\r\n\r\n", "G", "GE", "GETX / HTTP/1.1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01",
        "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET http://h/p HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "GET / HTTP/1.1\r\n: x\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nRange: bytes=0-4, 7-9\r\n\r\n", "HELO x\r\n", "USER me\r\n",
    };
    static char got[400000], huge[300000];
    for (size_t i = 0; i <= sizeof requests / sizeof *requests; i++) {
        int client, peer;
        tcp_pair(&client, &peer);
        const char *text = i < sizeof requests / sizeof *requests ? requests[i] : huge;
        if (text == huge) {
            size_t n = (size_t)sprintf(huge, "GET / HTTP/1.1\r\n");
            while (n < 150000)
                n += (size_t)sprintf(huge + n, "X-%zu: %0100d\r\n", n, 7);
        }
        size_t length = strlen(text);
        send_all(client, text, length);
        settle();
        CALL(recv(peer, got, length, MSG_WAITALL) == (ssize_t)length);
        say("same %d\n", memcmp(got, text, length) == 0);
        CALL(send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40, 0));
        CALL(recv(client, got, 40, MSG_WAITALL));
        CALL(close(client));
        CALL(recv(peer, got, 1, 0));
        CALL(close(peer));
    }
    return 0;
}
