/* clock.h: CLOCK_MONOTONIC in nanoseconds, and the same clock as of the last tick. Keep errno. */
#ifndef MIDSTREAM_CLOCK_H
#define MIDSTREAM_CLOCK_H

#include <stdint.h>

int64_t now_ns(void);
int64_t coarse_now_ns(void);

#endif
