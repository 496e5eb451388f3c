/*
 * above.h: all that process/ asks of the folders that stand on it (stream/, tls/, handover/), where these functions are. What happens to
 * the process as a whole concerns them: it forks, a number is needed by the program, or Midstream's threads have to end.
 */
#ifndef MIDSTREAM_ABOVE_H
#define MIDSTREAM_ABOVE_H

#include <stdbool.h>
#include <stdint.h>

/* Before a fork, or before Midstream withdraws: no connection needs its framing taken out any more (call/unchunk.c). */
void unchunk_end_all(void);

/* Likewise: handshakes go on where the program has begun them (wait/attempt.c). */
void attempts_withdraw(void);

/* In a forked child: nothing of the parent's is followed. */
void stream_forget_all(void);
void caller_forget(void);
void tls_forget(void);

/* Likewise, and when the core has ended: no hand-over is under way (handover/serve.c). */
void handover_forget(void);

/* What Midstream had on the number fd is on `moved` as well now. Any thread. */
void stream_moved(int fd, int moved);
void twin_vacate(int fd, int moved);

/* An answer comes through the core, which ends with it. */
bool stream_is_relaying(void);

/* The core ends: so do all twins that have not taken a session's place, and their thread. */
void twin_end(void);

/* Those over which nothing but the program's own octets go are not tracked any more. */
void stream_forget_plain(void);

/* The memory that tails lie in, for the life of the process; NULL: there is none. Any thread. */
uint8_t *tail_memory(void);

/* What the agent does (handover/serve.c). */
void *agent_main(void *unused);

#endif
