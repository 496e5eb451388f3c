/* Range requests, 304, 404, 204, chunked and redirect answers, one after the other. */
#include "observe.h"

static void request(int fd, const char *line, const char *field)
{
    char text[400];
    int n = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: x\r\n%s\r\n", line, field), status;
    send_all(fd, text, (size_t)n);
    settle();
    long length = head_status(fd, &status);
    say("%s %s status %d length %ld\n", line, field, status, length);
    if (length > 0)
        body(fd, length);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    request(fd, "GET /fixed/10000", "Range: bytes=100-199\r\n");
    request(fd, "GET /fixed/10000", "Range: bytes=9990-\r\n");
    request(fd, "GET /fixed/10000", "Range: bytes=20000-\r\n");
    request(fd, "GET /fixed/10000", "If-None-Match: \"10000\"\r\n");
    request(fd, "GET /status/204", "");
    request(fd, "GET /status/404", "");
    request(fd, "GET /status/302", "");
    request(fd, "OPTIONS /fixed/10", "");
    request(fd, "GET /chunked/1000", "");
    char octet;
    long total = 0, window = 0;
    while (window != 0x300d0a0d0a && recv(fd, &octet, 1, 0) == 1) { /* "0", CR LF, CR LF */
        window = (window << 8 | (unsigned char)octet) & 0xffffffffff;
        total++;
    }
    say("chunked octets %ld\n", total);
    get(fd, "/fixed/10");
    return 0;
}
