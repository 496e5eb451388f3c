/* Writes to a peer that has gone raise SIGPIPE once each, or none with MSG_NOSIGNAL. */
#include "observe.h"

static volatile sig_atomic_t pipes;

static void handler(int unused)
{
    (void)unused;
    pipes++;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    signal(SIGPIPE, handler);
    int fd = dial(), n = 0;
    get(fd, "/close/1000");
    char octet;
    CALL(recv(fd, &octet, 1, 0));
    while (n++ < 1000 && send(fd, "x", 1, MSG_NOSIGNAL) == 1)
        sleep_ms(5);
    say("%s, %d\n", strerrorname_np(errno), (int)pipes);
    CALL(write(fd, "x", 1));
    CALL(send(fd, "x", 1, 0));
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    struct iovec part = {&octet, 1};
    CALL(writev(fd, &part, 1));
    say("pipes %d\n", (int)pipes);
    CALL(close(fd));
    return 0;
}
