/* shutdown in one thread ends the blocked recv of another. */
#include "observe.h"

static int fd;

static void *reader(void *unused)
{
    (void)unused;
    char buffer[100];
    CALL(recv(fd, buffer, sizeof buffer, 0));
    CALL(recv(fd, buffer, sizeof buffer, 0));
    return NULL;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    fd = dial();
    ask(fd, "/hang/20000");
    say("length %ld\n", head(fd));
    body(fd, 10000);
    pthread_t thread;
    pthread_create(&thread, NULL, reader, NULL);
    sleep_ms(50);
    shutdown(fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    CALL(close(fd));
    return 0;
}
