/* Sockets moved to high numbers (500 to 900) do GETs there, many at once. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 1024 ? limit.rlim_max : 1024;
    setrlimit(RLIMIT_NOFILE, &limit);
    int fds[40];
    for (int i = 0; i < 40; i++) {
        int fd = dial();
        fds[i] = (int)CALL(fcntl(fd, F_DUPFD, 500 + 10 * i));
        close(fd);
        ask(fds[i], "/fixed/3000");
    }
    for (int i = 0; i < 40; i++) {
        say("length %ld\n", head(fds[i]));
        body(fds[i], 3000);
    }
    return 0;
}
