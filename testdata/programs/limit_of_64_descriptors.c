/* With RLIMIT_NOFILE 64 a program opens sockets up to the limit (four of Midstream's own are allowed for) and does GETs on them. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct rlimit limit = {64, 64};
    CALL(setrlimit(RLIMIT_NOFILE, &limit));
    fetch("/fixed/1000");
    int first = -1, last = -1, count = 0, fd;
    while ((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0) {
        first = first < 0 ? fd : first;
        last = fd;
        count++;
    }
    say("%s first %d, enough %d\n", strerrorname_np(errno), first, count >= 57);
    CALL(dup(1));
    CALL(connect(last, (struct sockaddr *)&server, sizeof server));
    get(last, "/fixed/3000");
    CALL(close(first));
    fetch("/fixed/2000");
    CALL(getrlimit(RLIMIT_NOFILE, &limit));
    say("%ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
    CALL(dup2(last, 64));
    CALL(dup2(last, 63));
    get(63, "/fixed/33");
    return 0;
}
