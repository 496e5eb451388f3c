/* close in one thread leaves the blocked recv of another with its old connection. */
#include "observe.h"

static int fd;
static _Atomic pid_t tid;

static void *reader(void *unused)
{
    (void)unused;
    char buffer[10000];
    tid = gettid();
    ssize_t n = recv(fd, buffer, sizeof buffer, MSG_WAITALL);
    say("recv returned %zd\n", n);
    return NULL;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    fd = dial();
    ask(fd, "/later/20000");
    say("length %ld\n", head(fd));
    body(fd, 10000);
    pthread_t thread;
    pthread_create(&thread, NULL, reader, NULL);
    while (!tid)
        sched_yield();
    await_in(tid, SYS_recvfrom);
    CALL(close(fd));
    int again = dial();
    say("same number %d\n", again == fd);
    get(again, "/fixed/3000");
    pthread_join(thread, NULL);
    get(again, "/fixed/3001");
    return 0;
}
