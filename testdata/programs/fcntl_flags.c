/* F_GETFL, F_SETFL, F_GETFD, F_SETFD, owner and pipe-size calls on an active socket. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    char octet;
    CALL(fcntl(fd, F_GETFL));
    CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
    CALL(fcntl(fd, F_GETFL));
    body(fd, 15000);
    CALL(read(fd, &octet, 1));
    CALL(fcntl(fd, F_SETFL, 0));
    CALL(fcntl(fd, F_GETFD));
    CALL(fcntl(fd, F_SETFD, FD_CLOEXEC));
    CALL(fcntl(fd, F_GETFD));
    CALL(fcntl(fd, F_SETOWN, getpid()));
    CALL(fcntl(fd, F_GETOWN) == getpid());
    CALL(fcntl(fd, F_SETSIG, SIGUSR1));
    CALL(fcntl(fd, F_GETSIG));
    CALL(fcntl(fd, F_GETPIPE_SZ));
    struct flock lock = {.l_type = F_RDLCK};
    CALL(fcntl(fd, F_GETLK, &lock));
    get(fd, "/fixed/10");
    return 0;
}
