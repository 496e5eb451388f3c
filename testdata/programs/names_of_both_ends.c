/* getsockname and getpeername of a tracked socket, with short and long buffers. */
#include "observe.h"

static void show(int fd)
{
    struct sockaddr_storage any;
    for (socklen_t size = 0; size <= sizeof any; size += 16) {
        socklen_t length = size;
        memset(&any, 0, sizeof any);
        CALL(getpeername(fd, (struct sockaddr *)&any, &length));
        struct sockaddr_in *in = (struct sockaddr_in *)&any;
        say("%u %d %s same port %d\n", length, any.ss_family, inet_ntoa(in->sin_addr), in->sin_port == server.sin_port);
    }
    socklen_t length = sizeof any;
    CALL(getsockname(fd, (struct sockaddr *)&any, &length));
    say("%u %d %s\n", length, any.ss_family, inet_ntoa(((struct sockaddr_in *)&any)->sin_addr));
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    show(fd);
    CALL(connect(fd, (struct sockaddr *)&server, sizeof server));
    show(fd);
    get(fd, "/fixed/100");
    show(fd);
    get(fd, "/close/100");
    show(fd);
    shutdown(fd, SHUT_RDWR);
    return 0;
}
