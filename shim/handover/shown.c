/* shown.c: see shown.h. */
#include "shown.h"

#include "network/socket.h"

/* Those that are there no more were read in a way that is not counted. Of a TLS session's the socket tells nothing. */
static uint64_t left(struct stream *s)
{
    uint64_t shown = atomic_load(&s->shown), unread = shown && !atomic_load(&s->tls) ? socket_unread(s->fd) : shown;
    return shown < unread ? shown : unread;
}

uint64_t shown_content(struct stream *s)
{
    uint64_t shown = left(s);
    bool amid = s->in.phase == MS_LENGTH || s->in.phase == MS_CHUNK_DATA;
    return s->in.phase == MS_CLOSE || (amid && shown <= s->in.left) ? shown : 0;
}

bool shown_is_to_be_read(struct stream *s)
{
    return left(s) && (!shown_content(s) || s->asked.what == MS_PAIR);
}

bool shown_is_to_come(struct stream *s)
{
    return !s->next.twin && s->asked.what != MS_PAIR && socket_unread(s->next.fd) < shown_content(s);
}
