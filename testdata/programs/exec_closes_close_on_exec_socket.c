/* A socket with close-on-exec is gone after exec, and nothing else is left open. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    if (argc > 4) {
        CALL(fcntl(3, F_GETFD));
        list_descriptors();
        fetch("/fixed/40");
        return 0;
    }
    int fd = dial_with(SOCK_CLOEXEC);
    CALL(fcntl(fd, F_GETFD));
    get(fd, "/fixed/1000");
    execl("/proc/self/exe", argv[0], argv[1], argv[2], argc > 3 ? argv[3] : "0", "again", (char *)NULL);
    fail("exec");
}
