/* HEAD answers have a length but no content; a GET follows on the connection. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        char request[] = "HEAD /fixed/5000 HTTP/1.1\r\nHost: x\r\n\r\n", octet;
        CALL(write(fd, request, strlen(request)));
        settle();
        say("length %ld\n", head(fd));
        CALL(recv(fd, &octet, 1, MSG_DONTWAIT));
        get(fd, "/fixed/5000");
    }
    return 0;
}
