/* Reads through a socket and each kind of its duplicates, in turn, deliver one response. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (int kind = 0; kind < 5; kind++) {
        int fd = dial(), copy = -1;
        ask(fd, "/fixed/20000");
        say("length %ld\n", head(fd));
        switch (kind) {
        case 0: copy = (int)CALL(dup(fd)); break;
        case 1: copy = (int)CALL(dup2(fd, 40)); break;
        case 2: copy = (int)CALL(dup3(fd, 41, O_CLOEXEC)); break;
        case 3: copy = (int)CALL(fcntl(fd, F_DUPFD, 50)); break;
        case 4: copy = (int)CALL(fcntl(fd, F_DUPFD_CLOEXEC, 60)); break;
        }
        CALL(fcntl(copy, F_GETFD));
        uint32_t sum = SUM;
        for (int i = 0; i < 20; i++)
            sum = drain(i % 2 ? fd : copy, 1000, sum);
        say("sum %08x\n", sum);
        get(copy, "/fixed/123");
        CALL(close(fd));
        get(copy, "/fixed/124");
        CALL(close(copy));
        CALL(close(copy));
    }
    return 0;
}
