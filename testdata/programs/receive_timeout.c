/* SO_RCVTIMEO ends a recv with EAGAIN; after it the rest arrives. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    ask(fd, "/hang/20000");
    head(fd);
    body(fd, 10000);
    struct timeval limit = {0, 40000}, set;
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    CALL(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &set, &(socklen_t){sizeof set}));
    say("%ld %ld\n", (long)set.tv_sec, (long)set.tv_usec);
    char buffer[100];
    CALL(recv(fd, buffer, sizeof buffer, 0));
    CALL(read(fd, buffer, sizeof buffer));
    CALL(recv(fd, buffer, sizeof buffer, MSG_WAITALL));
    CALL(readv(fd, &(struct iovec){buffer, 10}, 1));
    return 0;
}
