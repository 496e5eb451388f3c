/* messages.h: what the core says (abi.h), taken up by the agent. */
#ifndef MIDSTREAM_MESSAGES_H
#define MIDSTREAM_MESSAGES_H

#include <stddef.h>

#include "../../cgo/abi.h"

/* One message, with its descriptor, which is Midstream's own, or -1. */
void messages_handle(const struct ms_message *m, int fd, const void *data, size_t length);

/* The core is gone: every stream goes on as it would without Midstream. */
void messages_end(void);

#endif
