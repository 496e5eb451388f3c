/* A file and then a new socket are put on the number of an active socket. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    int null = open("/dev/null", O_RDWR);
    char buffer[10];
    CALL(dup2(null, fd));
    CALL(read(fd, buffer, sizeof buffer));
    CALL(recv(fd, buffer, sizeof buffer, 0));
    CALL(write(fd, "GET / HTTP/1.1\r\n\r\n", 18));
    int other = dial();
    CALL(dup2(other, fd));
    get(fd, "/fixed/60");
    return 0;
}
