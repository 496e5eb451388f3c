/* UDP sockets, connected and not, pass untouched, also with HTTP-like text. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    fetch("/fixed/10");
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
    char buffer[100];
    CALL(bind(one, (struct sockaddr *)&a, sizeof a));
    CALL(getsockname(one, (struct sockaddr *)&a, &length));
    CALL(connect(two, (struct sockaddr *)&a, sizeof a));
    CALL(send(two, "GET / HTTP/1.1\r\n\r\n", 18, 0));
    CALL(recv(one, buffer, 5, MSG_TRUNC));
    CALL(sendto(two, "abc", 3, 0, (struct sockaddr *)&a, sizeof a));
    struct sockaddr_in from;
    length = sizeof from;
    CALL(recvfrom(one, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length));
    CALL(sendto(one, "defg", 4, 0, (struct sockaddr *)&from, length));
    CALL(read(two, buffer, sizeof buffer));
    CALL(recv(two, buffer, sizeof buffer, MSG_DONTWAIT));
    CALL(close(one));
    CALL(send(two, "x", 1, 0));
    CALL(send(two, "x", 1, 0));
    CALL(close(two));
    return 0;
}
