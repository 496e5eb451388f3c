/* shutdown(SHUT_WR) after the request; the response arrives whole, then the end. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    char octet;
    ask(fd, "/slow/20000");
    CALL(shutdown(fd, SHUT_WR));
    say("length %ld\n", head(fd));
    body(fd, 20000);
    CALL(recv(fd, &octet, 1, 0));
    CALL(recv(fd, &octet, 1, 0));
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(shutdown(fd, SHUT_RDWR));
    CALL(close(fd));
    return 0;
}
