/* read.h: what the readers of read.c's kinds have in common: octets that "come" from the kernel, in pieces. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

/* What is read, and how: `seed` 0 gives as much at a time as is asked for, any other one pieces of random sizes. */
struct input {
    const uint8_t *octets;
    size_t count, at;
    uint32_t seed;
    const char *name; /* what the question is about */
};

extern struct input input;

/* A kind's answer, on standard output, without the end of the line. */
void read_fallback(uint8_t kind);
void read_route(uint8_t kind);
void read_settings(uint8_t kind);
void read_use(void);
void read_epoll(void);
void read_caller(void);
void read_resolve(void);
void read_client_hello(void);
void read_recognise(void);
void read_instructions(void);
