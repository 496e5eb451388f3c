/* A handler leaves a blocked recv by siglongjmp; the socket works on. */
#include "observe.h"

static sigjmp_buf back;

static void jump(int unused)
{
    (void)unused;
    siglongjmp(back, 1);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    signal(SIGALRM, jump);
    int fd = dial();
    ask(fd, "/later/20000");
    say("length %ld\n", head(fd));
    body(fd, 10000);
    for (volatile int i = 0; i < 5; i++) {
        if (sigsetjmp(back, 1) == 0) {
            struct itimerval once = {{0, 0}, {0, 20000}};
            setitimer(ITIMER_REAL, &once, NULL);
            char buffer[10000];
            if (i % 2)
                recv(fd, buffer, sizeof buffer, MSG_PEEK | MSG_WAITALL);
            else
                poll(&(struct pollfd){.fd = fd, .events = POLLPRI}, 1, -1);
            pause();
        }
        say("jumped\n");
    }
    body(fd, 10000);
    get(fd, "/fixed/500");
    return 0;
}
