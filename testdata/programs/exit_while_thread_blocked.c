/* exit() while another thread is blocked in recv on a tracked socket. */
#include "observe.h"

static int fd;

static void *reader(void *unused)
{
    (void)unused;
    char buffer[20000];
    recv(fd, buffer, sizeof buffer, MSG_WAITALL);
    say("not reached\n");
    return NULL;
}

static void last(void) { say("handler\n"); }

int main(int argc, char **argv)
{
    begin(argc, argv);
    atexit(last);
    fd = dial();
    ask(fd, "/hang/20000");
    say("length %ld\n", head(fd));
    pthread_t thread;
    pthread_create(&thread, NULL, reader, NULL);
    sleep_ms(50);
    exit(11);
}
