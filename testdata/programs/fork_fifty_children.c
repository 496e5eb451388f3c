/* Fifty children of a process that did a GET each do their own; all end well. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial(), good = 0, status;
    uint32_t sum = quiet_get(fd, "/fixed/4000");
    pause_ms = 0;
    for (int i = 0; i < 50; i++) {
        pid_t pid = fork();
        if (pid < 0)
            fail("fork");
        if (pid == 0) {
            int own = dial();
            _exit(quiet_get(own, "/fixed/4000") == sum ? 7 : 8);
        }
    }
    for (int i = 0; i < 50; i++)
        good += wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 7;
    say("good %d\n", good);
    CALL(wait(&status));
    get(fd, "/fixed/11");
    return 0;
}
