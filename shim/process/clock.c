/* clock.c: see clock.h. */
#include "clock.h"

#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int64_t now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t coarse_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}
