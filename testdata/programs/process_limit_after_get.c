/* After a GET the user may have no more threads; forty downloads at once work all the same. */
#include "observe.h"

#include <grp.h>

#define USER 61235
#define COUNT 40

int main(int argc, char **argv)
{
    begin(argc, argv);
    CALL(setgroups(0, NULL));
    CALL(setresgid(USER, USER, USER));
    CALL(setresuid(USER, USER, USER));
    fetch("/fixed/20000");
    struct rlimit none = {1, 1};
    CALL(setrlimit(RLIMIT_NPROC, &none));
    int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = dial();
        ask(fds[i], i % 2 ? "/slow/20000" : "/slow-close/20000");
    }
    for (int i = 0; i < COUNT; i++) {
        body(fds[i], head(fds[i]));
        close(fds[i]);
    }
    fetch("/fixed/20001");
    return 0;
}
