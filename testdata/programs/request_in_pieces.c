/* The request leaves one octet at a time, by write, send, and with pauses and MSG_MORE. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    char request[400];
    int fd = dial(), on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (int round = 0; round < 3; round++) {
        size_t n = compose(request, "/fixed/4000");
        for (size_t i = 0; i < n; i++) {
            ssize_t w = round == 0   ? write(fd, request + i, 1)
                        : round == 1 ? send(fd, request + i, 1, i + 1 < n ? MSG_MORE : 0)
                                     : sendto(fd, request + i, 1, 0, NULL, 0);
            if (w != 1)
                fail("write");
            if (i == 1 || i == n - 2)
                sleep_ms(10);
        }
        settle();
        say("length %ld\n", head(fd));
        body(fd, 4000);
    }
    return 0;
}
