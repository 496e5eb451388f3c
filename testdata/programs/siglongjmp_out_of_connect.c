/* A handler leaves a blocked connect by siglongjmp, as wget does; then a GET. */
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
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(listener, 0) != 0)
        fail("listen");
    getsockname(listener, (struct sockaddr *)&a, &length);
    for (int i = 0; i < 4; i++) { /* fill the queue, so that the next connect blocks */
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fd, (struct sockaddr *)&a, sizeof a);
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (sigsetjmp(back, 1) == 0) {
        struct itimerval once = {{0, 0}, {0, 50000}};
        setitimer(ITIMER_REAL, &once, NULL);
        int n = connect(fd, (struct sockaddr *)&a, sizeof a);
        say("connect returned %d\n", n);
    } else {
        say("jumped\n");
    }
    CALL(close(fd));
    fetch("/fixed/1000");
    if (sigsetjmp(back, 1) == 0) {
        fd = socket(AF_INET, SOCK_STREAM, 0);
        struct itimerval once = {{0, 0}, {0, 50000}};
        setitimer(ITIMER_REAL, &once, NULL);
        int n = connect(fd, (struct sockaddr *)&a, sizeof a);
        say("connect returned %d\n", n);
    } else {
        say("jumped again\n");
    }
    CALL(close(fd));
    fetch("/fixed/1001");
    return 0;
}
