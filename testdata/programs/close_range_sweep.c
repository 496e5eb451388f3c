/* close_range(3, ~0) in the middle of a download; then new sockets work. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int a = begin_download();
    int b = dial();
    CALL(close_range(3, ~0U, 0));
    CALL(close(a));
    CALL(close(b));
    list_descriptors();
    fetch("/fixed/6000");
    int c = begin_download();
    CALL(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC));
    CALL(fcntl(c, F_GETFD));
    body(c, 15000);
    CALL(close_range(5, 4, 0));
    CALL(close_range((unsigned)c, (unsigned)c, 0));
    CALL(recv(c, &a, 1, 0));
    return 0;
}
