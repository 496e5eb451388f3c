/* All descriptors are taken when the first request leaves; the exchange is as natively. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct rlimit limit = {40, 40};
    CALL(setrlimit(RLIMIT_NOFILE, &limit));
    int fd = dial(), count = 0;
    while (dup(1) >= 0)
        count++;
    say("count %d %s\n", count, strerrorname_np(errno));
    get(fd, "/fixed/20000");
    CALL(dup(fd));
    CALL(socket(AF_INET, SOCK_STREAM, 0));
    CALL(close(fd));
    fetch("/fixed/5000");
    CALL(open("/dev/null", O_RDONLY));
    return 0;
}
