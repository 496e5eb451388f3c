/* prctl's PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS and PR_SET_PDEATHSIG before a GET read back after it. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    CALL(prctl(PR_SET_DUMPABLE, 0));
    CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CALL(prctl(PR_SET_PDEATHSIG, SIGUSR2));
    fetch("/fixed/1000");
    CALL(prctl(PR_GET_DUMPABLE));
    CALL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    int number = 0;
    CALL(prctl(PR_GET_PDEATHSIG, &number));
    say("%d\n", number);
    CALL(prctl(PR_GET_KEEPCAPS));
    CALL(prctl(PR_GET_SECCOMP));
    CALL(prctl(PR_GET_CHILD_SUBREAPER, &number));
    CALL(prctl(PR_GET_TIMERSLACK));
    return 0;
}
