/* POSTs with a body, in one write and in two, with and without Expect; then a GET. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    char request[9000], content[8000];
    memset(content, 'p', sizeof content);
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        int n = snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\nHost: x\r\n%sContent-Length: 8000\r\n\r\n",
                         i == 2 ? "Expect: 100-continue\r\n" : "");
        if (i == 0)
            memcpy(request + n, content, sizeof content);
        send_all(fd, request, (size_t)n + (i == 0 ? sizeof content : 0));
        settle();
        int status = 0;
        if (i == 2) {
            head_status(fd, &status);
            say("status %d\n", status);
        }
        if (i != 0)
            send_all(fd, content, sizeof content);
        long length = head_status(fd, &status);
        say("status %d length %ld\n", status, length);
        body(fd, length);
    }
    get(fd, "/fixed/10");
    return 0;
}
