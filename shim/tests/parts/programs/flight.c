/*
 * flight.c: a handshake that is dropped while another thread is about to send its ClientHello elsewhere. Exit status 0: what is sent is
 * never another handshake's, which has been kept in the same place meanwhile.
 */
#include "wait/flight.c"
#include "framing/hello.c"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SENT 5000

static struct stream mine = { .id = 1 }, theirs = { .id = 2 };
static _Atomic int sent;

unsigned names_others(const char *name, const struct sockaddr_in6 *peer, struct sockaddr_in6 *others, unsigned most)
{
    return 0;
}

static void fill(uint8_t *hello, uint8_t with)
{
    memset(hello, with, 2000);
    memcpy(hello, (uint8_t[]){ 22, 3, 1, (2000 - 5) >> 8, (2000 - 5) & 255, 1, 0, (2000 - 9) >> 8, (2000 - 9) & 255 }, 9);
}

static void *change(void *unused)
{
    uint8_t hello[2000], other[2000];
    fill(hello, 'm');
    fill(other, 't');
    while (atomic_load(&sent) < SENT) {
        flight_keep(&mine, hello, sizeof hello);
        flight_drop(&mine);
        flight_keep(&theirs, other, sizeof other);
        flight_drop(&theirs);
    }
    return unused;
}

int main(void)
{
    int ends[2];
    uint8_t got[2000];
    pthread_t thread;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) || pthread_create(&thread, NULL, change, NULL)) {
        return 2;
    }
    alarm(60);
    while (atomic_load(&sent) < SENT) {
        if (!flight_send(&mine, ends[0])) {
            continue;
        }
        atomic_fetch_add(&sent, 1);
        if (recv(ends[1], got, sizeof got, 0) != sizeof got || memchr(got + 9, 't', sizeof got - 9)) {
            fprintf(stderr, "another handshake's octets were sent\n");
            exit(1);
        }
    }
    pthread_join(thread, NULL);
    for (int i = 0; i < FLIGHTS; i++) {
        if (atomic_load(&flights[i].state)) {
            fprintf(stderr, "place %d is lost\n", i);
            exit(1);
        }
    }
    return 0;
}
