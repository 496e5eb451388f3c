/* GETs under a limit on processes that leaves room for none, one, two … threads. */
#include "observe.h"

#include <grp.h>

#define USER 61234 /* nobody else's processes count */

int main(int argc, char **argv)
{
    begin(argc, argv);
    CALL(setgroups(0, NULL));
    CALL(setresgid(USER, USER, USER));
    CALL(setresuid(USER, USER, USER));
    for (rlim_t most = 1; most < 24; most++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct rlimit limit = {most, most};
            if (setrlimit(RLIMIT_NPROC, &limit) != 0)
                fail("setrlimit");
            fetch("/fixed/20000");
            int fd = begin_download();
            body(fd, 15000);
            _exit(0);
        }
        wait_for(pid);
    }
    return 0;
}
