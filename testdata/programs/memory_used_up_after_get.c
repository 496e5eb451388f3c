/* After a GET the process may have no more memory; two hundred downloads at once; then it faults. */
#include "observe.h"

#define COUNT 200

int main(int argc, char **argv)
{
    begin(argc, argv);
    fetch("/fixed/20000");
    struct rlimit none = {1, 1};
    CALL(setrlimit(RLIMIT_AS, &none));
    CALL(setrlimit(RLIMIT_DATA, &none));
    CALL(brk((char *)sbrk(0) + (1 << 20)));
    static int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = dial();
        ask(fds[i], "/slow/20000");
    }
    for (int i = 0; i < COUNT; i++) {
        body(fds[i], head(fds[i]));
        close(fds[i]);
    }
    fetch("/fixed/20001");
    *(volatile int *)8 = 1;
    return 0;
}
