/* FIONREAD counts what has arrived, FIONBIO switches the mode, in the middle of a download. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial(), on = 1, off = 0, unread = -1;
    CALL(ioctl(fd, FIONREAD, &unread));
    say("unread %d\n", unread);
    ask(fd, "/fixed/3000");
    head(fd);
    char buffer[3000];
    recv(fd, buffer, 3000, MSG_PEEK | MSG_WAITALL);
    CALL(ioctl(fd, FIONREAD, &unread));
    say("unread %d\n", unread);
    CALL(ioctl(fd, FIONBIO, &on));
    CALL(fcntl(fd, F_GETFL));
    body(fd, 3000);
    CALL(recv(fd, buffer, 1, 0));
    CALL(ioctl(fd, FIONBIO, &off));
    CALL(fcntl(fd, F_GETFL));
    CALL(ioctl(fd, FIOCLEX, 0));
    CALL(fcntl(fd, F_GETFD));
    CALL(ioctl(fd, FIONCLEX, 0));
    CALL(fcntl(fd, F_GETFD));
    get(fd, "/fixed/10");
    return 0;
}
