/* closefrom(3) in the middle of a download; then new sockets work, again and again. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (int i = 0; i < 5; i++) {
        int fd = begin_download();
        closefrom(3);
        CALL(fcntl(fd, F_GETFD));
        fetch("/fixed/6000");
    }
    list_descriptors();
    return 0;
}
