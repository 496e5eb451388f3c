/* close with SO_LINGER 0 resets, with SO_LINGER 1 waits for nothing; SO_LINGER reads back. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (int seconds = 0; seconds < 2; seconds++) {
        int fd = begin_download();
        struct linger linger = {1, seconds}, set;
        CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
        CALL(getsockopt(fd, SOL_SOCKET, SO_LINGER, &set, &(socklen_t){sizeof set}));
        say("%d %d\n", set.l_onoff, set.l_linger);
        CALL(close(fd));
    }
    fetch("/fixed/10");
    return 0;
}
