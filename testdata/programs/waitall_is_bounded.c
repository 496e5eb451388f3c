/* SO_RCVTIMEO bounds a read with MSG_WAITALL as a whole, and any handler ends it once it has something. */
#include "observe.h"

#define OCTET_MS 100
#define ASKED 60

static int client, peer;
static volatile int over, silent;

static void nothing(int unused) { (void)unused; }

/* A server that sends an octet now and then. */
static void *dribble(void *unused)
{
    char request[400];
    (void)unused;
    if (recv(peer, request, sizeof request, 0) <= 0)
        fail("recv of the request");
    send_all(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 43);
    while (!over && (silent || send(peer, "x", 1, MSG_NOSIGNAL) == 1))
        sleep_ms(OCTET_MS);
    return NULL;
}

static long take(int way)
{
    char data[ASKED];
    struct iovec parts[3] = {{data, 1}, {data + 1, 1}, {data + 2, ASKED - 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    struct mmsghdr messages[1] = {{.msg_hdr = message}};
    switch (way) {
    case 0: return recv(client, data, ASKED, MSG_WAITALL);
    case 1: return recvfrom(client, data, ASKED, MSG_WAITALL, NULL, NULL);
    case 2: return recvmsg(client, &message, MSG_WAITALL);
    default: return recvmmsg(client, messages, 1, MSG_WAITALL, NULL) == 1 ? (long)messages[0].msg_len : -1;
    }
}

/* Too few octets for the time that as many as were asked for take, and more than none. */
static void show(const char *what, int way)
{
    errno = 0;
    long n = take(way);
    say("%s %d: %s, %s\n", what, way, n > 0 && n < ASKED / 2 ? "some" : n < 0 ? "none" : "too many", strerrorname_np(errno) ?: "0");
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    pthread_t thread;
    tcp_pair(&client, &peer);
    pthread_create(&thread, NULL, dribble, NULL);
    ask(client, "/");
    head(client);
    struct timeval limit = {0, 4 * OCTET_MS * 1000}, none = {0, 0};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    for (int way = 0; way < 4; way++)
        show("a time-out", way);
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
    silent = 1;
    sleep_ms(2 * OCTET_MS);
    for (int i = 0; i < 4; i++) {
        /* What had come goes first: a handler that runs beside octets that arrive may be the earlier or the later one. */
        char rest[100];
        struct sigaction action = {.sa_handler = nothing, .sa_flags = i % 2 ? SA_RESTART : 0};
        struct itimerval once = {{0, 0}, {0, OCTET_MS * 1000}};
        while (recv(client, rest, sizeof rest, MSG_DONTWAIT) > 0)
            ;
        send_all(peer, "xxx", 3);
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &once, NULL);
        show(i % 2 ? "a handler that restarts" : "a handler", i / 2 * 2);
    }
    over = 1;
    close(client);
    pthread_join(thread, NULL);
    return 0;
}
