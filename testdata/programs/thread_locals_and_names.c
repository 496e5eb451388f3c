/* The program's own thread name, scheduling and robust lists are as it set them after a GET. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    prctl(PR_SET_NAME, "observed");
    fetch("/fixed/1000");
    char name[32] = "";
    CALL(prctl(PR_GET_NAME, name));
    say("name %s\n", name);
    CALL(sched_getscheduler(0));
    CALL(getpriority(PRIO_PROCESS, 0));
    say("main %d\n", getpid() == (pid_t)syscall(SYS_gettid));
    void *heads;
    size_t length;
    CALL(syscall(SYS_get_robust_list, 0, &heads, &length));
    say("length %zu\n", length);
    return 0;
}
