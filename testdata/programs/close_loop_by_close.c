/* Every number from 3 to 1023 is closed by close() in the middle of a download. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download(), closed = 0, bad = 0;
    for (int i = 3; i < 1024; i++) {
        errno = 0;
        if (close(i) == 0)
            closed++;
        else if (errno == EBADF)
            bad++;
    }
    say("closed %d bad %d\n", closed, bad);
    CALL(fcntl(fd, F_GETFD));
    fetch("/fixed/6000");
    return 0;
}
