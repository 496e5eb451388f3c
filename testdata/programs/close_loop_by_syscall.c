/* Every number from 3 to 1023 is closed by syscall(SYS_close) in the middle of a download. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download(), closed = 0;
    for (int i = 3; i < 1024; i++)
        closed += syscall(SYS_close, i) == 0;
    say("closed %d\n", closed);
    CALL(fcntl(fd, F_GETFD));
    fetch("/fixed/6000");
    int again = begin_download();
    body(again, 15000);
    return 0;
}
