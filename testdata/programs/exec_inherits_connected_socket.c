/* A program executes itself; the new image reads the rest from the inherited socket. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    if (argc > 4) {
        int fd = atoi(argv[4]);
        body(fd, 15000);
        get(fd, "/fixed/77");
        list_descriptors();
        return 9;
    }
    int fd = begin_download();
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    execl("/proc/self/exe", argv[0], argv[1], argv[2], argc > 3 ? argv[3] : "0", number, (char *)NULL);
    fail("exec");
}
