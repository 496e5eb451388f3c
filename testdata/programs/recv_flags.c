/* MSG_PEEK, MSG_WAITALL, MSG_TRUNC and MSG_DONTWAIT in the head and in the content. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    char buffer[30000];
    int fd = dial();
    CALL(recv(fd, buffer, 10, MSG_DONTWAIT));
    ask(fd, "/slow/20000");
    CALL(recv(fd, buffer, 8, MSG_PEEK | MSG_WAITALL));
    say("%.8s\n", buffer);
    CALL(recv(fd, buffer, 8, MSG_PEEK));
    head(fd);
    CALL(recv(fd, buffer, 3000, MSG_PEEK | MSG_WAITALL));
    say("%08x\n", fold(SUM, (unsigned char *)buffer, 3000));
    CALL(recv(fd, buffer, 15000, MSG_WAITALL));
    say("%08x\n", fold(SUM, (unsigned char *)buffer, 15000));
    CALL(recv(fd, NULL, 1000, MSG_TRUNC | MSG_WAITALL));
    CALL(recv(fd, buffer, 4000, MSG_WAITALL));
    say("%08x\n", fold(SUM, (unsigned char *)buffer, 4000));
    CALL(recv(fd, buffer, 10, MSG_DONTWAIT));
    CALL(recv(fd, buffer, 10, MSG_PEEK | MSG_DONTWAIT));
    get(fd, "/close/10");
    CALL(recv(fd, buffer, 10, MSG_PEEK));
    CALL(recv(fd, buffer, 10, MSG_WAITALL));
    return 0;
}
