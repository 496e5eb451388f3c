/* select reports a tracked socket readable and writable, and times out when it is not. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial(), total = 0;
    fd_set in, out, odd;
    for (int i = 0; i < 2; i++) {
        ask(fd, "/slow/20000");
        say("length %ld\n", head(fd));
        total = 0;
        while (total < 20000) {
            char buffer[3000];
            FD_ZERO(&in);
            FD_SET(fd, &in);
            struct timeval limit = {10, 0};
            if (select(fd + 1, &in, NULL, NULL, &limit) != 1 || !FD_ISSET(fd, &in))
                fail("select");
            total += (int)read(fd, buffer, sizeof buffer);
        }
        say("total %d\n", total);
        FD_ZERO(&in);
        FD_ZERO(&out);
        FD_ZERO(&odd);
        FD_SET(fd, &in);
        FD_SET(fd, &out);
        FD_SET(fd, &odd);
        struct timeval short_limit = {0, 30000};
        CALL(select(fd + 1, &in, &out, &odd, &short_limit));
        say("in %d out %d odd %d\n", !!FD_ISSET(fd, &in), !!FD_ISSET(fd, &out), !!FD_ISSET(fd, &odd));
        FD_SET(fd, &in);
        CALL(select(fd + 1, &in, NULL, NULL, &short_limit));
        say("left %ld %ld\n", (long)short_limit.tv_sec, (long)short_limit.tv_usec);
    }
    return 0;
}
