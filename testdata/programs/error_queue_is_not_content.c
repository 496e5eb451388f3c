/* What MSG_ERRQUEUE and MSG_OOB give is not the response's: it ends where it should. */
#include "observe.h"
#include <linux/net_tstamp.h>

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    int on = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_CMSG;
    CALL(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &on, sizeof on));
    ask(fd, "/fixed/3000");
    say("length %ld\n", head(fd));
    char buffer[4000], control[500];
    struct iovec part = {buffer, sizeof buffer};
    long told = 0, octets = 0;
    for (int i = 0; i < 200 && !octets; i++) {
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
        if (n >= 0)
            told++, octets += n;
        else
            sleep_ms(1);
    }
    say("told %d, of octets %d\n", told > 0, octets > 0);
    CALL(recv(fd, buffer, 1, MSG_OOB));
    body(fd, 3000);
    get(fd, "/fixed/500");
    return 0;
}
