/*
 * handover.h: hand-overs in the program's descriptor table. All by the agent.
 *
 *   arming.c    what has been asked for (MS_ARM), and how it ends where it cannot be
 *   handover.c  the steps of one, from the closed gate on
 *   swap.c      the other socket is put on the descriptor
 *   messages.c  the core's messages
 *   serve.c     the agent's loop, and when it stays away
 */
#ifndef MIDSTREAM_HANDOVER_H
#define MIDSTREAM_HANDOVER_H

#include "stream/stream.h"

/* A hand-over that has not come about after so long is given up; the gate is closed meanwhile. */
#define HANDOVER_PATIENCE_NS 500000000LL

/* An MS_ARM, with what came attached to it. */
void handover_ask(struct stream *s, const struct ms_message *m, int fd, const void *data, size_t length);

/* The program goes on with what it has, or is held on; the core is told why. */
void handover_refuse(struct stream *s, enum ms_why why);

/* Nothing is asked for any more, and what was to come is dropped. */
void handover_disarm(struct stream *s);

/* The core gives a held program up: it sees how its connection ended, on the kept socket if there is one. */
void handover_give_up(struct stream *s, int error);

/* A bounded connection may end earlier than was meant (unchunk_end): the relay comes there then. */
void handover_come_earlier(struct stream *s);

/* The program has read all that the present socket has for it, and waits at the gate for the core to bring the rest. */
bool handover_is_at_end(const struct stream *s);

/* Exactly where the program stands in the response. */
void handover_position(const struct stream *s, struct ms_position *p);

/* The gate is closed: goes as many steps as can be gone. What has to be waited for is looked at again. */
void handover_look(struct stream *s);

/* Looks at all whose gate has been closed, and at those that wait. */
void handover_look_at_due(void);
bool handover_is_pending(void);
void handover_forget_pending(void);

/* Resets the connection, and closes the descriptor, which becomes -1 as it may be before. */
void handover_reset(int *fd);

#endif
