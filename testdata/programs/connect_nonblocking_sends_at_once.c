/* A request sent while the connect is still in progress, or as soon as it can be. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1, off = 0;
    CALL(ioctl(fd, FIONBIO, &on));
    CALL(connect(fd, (struct sockaddr *)&server, sizeof server));
    char request[400];
    size_t n = compose(request, "/fixed/1000");
    while (write(fd, request, n) < 0 && (errno == EAGAIN || errno == ENOTCONN))
        ;
    settle();
    CALL(ioctl(fd, FIONBIO, &off));
    body(fd, head(fd));
    get(fd, "/fixed/12");
    return 0;
}
