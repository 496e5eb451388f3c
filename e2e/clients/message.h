/*
 * message.h: a response in any framing (RFC 9112 §6), taken as it comes. It is strict: whatever no server sends is malformed.
 */
#ifndef CLIENTS_MESSAGE_H
#define CLIENTS_MESSAGE_H

#include <ctype.h>

#include "http.h"

enum message_phase { HEAD, BY_LENGTH, BY_CLOSE, CHUNK_SIZE, CHUNK_DATA, CHUNK_CR, CHUNK_LF, TRAILER, COMPLETE };

struct message {
    enum message_phase phase;
    char head[8192]; /* then the present line of framing */
    size_t have;
    int status, closes;
    int64_t left;     /* of the content, or of the chunk */
    int64_t content;  /* octets so far */
};

/* The value of a field of the head, "" if there is none. */
static inline const char *field(const struct message *m, const char *name)
{
    const char *at = strcasestr(m->head, name);
    return at ? at + strlen(name) : "";
}

static inline int begin_content(struct message *m)
{
    if (strncmp(m->head, "HTTP/1.1 ", 9) || sscanf(m->head + 9, "%d", &m->status) != 1)
        return -1;
    const char *length = field(m, "\r\nContent-Length: ");
    m->closes = !strncasecmp(field(m, "\r\nConnection: "), "close", 5);
    if (!strncasecmp(field(m, "\r\nTransfer-Encoding: "), "chunked\r\n", 9)) {
        m->phase = *length ? HEAD : CHUNK_SIZE;
    } else if (*length) {
        m->left = strtoll(length, NULL, 10);
        m->phase = m->left ? BY_LENGTH : COMPLETE;
    } else {
        m->phase = m->closes ? BY_CLOSE : HEAD;
    }
    m->have = 0;
    return m->phase == HEAD ? -1 : 0;
}

/* A line of framing has ended: of the head that is the last one. */
static inline int end_line(struct message *m)
{
    char *end;
    if (m->phase == HEAD)
        return begin_content(m);
    if (m->phase == CHUNK_SIZE) {
        m->left = strtoll(m->head, &end, 16);
        if (!isxdigit((unsigned char)m->head[0]) || m->left < 0 || strcmp(end, "\r\n"))
            return -1;
        m->phase = m->left ? CHUNK_DATA : TRAILER;
    } else if (m->have == 2) {
        m->phase = COMPLETE;
    }
    m->have = 0;
    return 0;
}

/*
 * Takes octets that were read, up to the next content or the response's end. Returns how many of content follow at *data, 0 if
 * there are none, -1 if the response is malformed. *data moves behind what was taken.
 */
static inline ssize_t take_message(struct message *m, const char **data, const char *end)
{
    while (*data < end && m->phase != COMPLETE) {
        size_t n = (size_t)(end - *data);
        if (m->phase == BY_LENGTH || m->phase == CHUNK_DATA || m->phase == BY_CLOSE) {
            if (m->phase != BY_CLOSE) {
                n = (int64_t)n < m->left ? n : (size_t)m->left;
                m->left -= (int64_t)n;
                if (!m->left)
                    m->phase = m->phase == BY_LENGTH ? COMPLETE : CHUNK_CR;
            }
            m->content += (int64_t)n;
            *data += n;
            return (ssize_t)n;
        }
        char c = *(*data)++;
        if (m->phase == CHUNK_CR || m->phase == CHUNK_LF) {
            if (c != "\r\n"[m->phase - CHUNK_CR])
                return -1;
            m->phase = m->phase == CHUNK_CR ? CHUNK_LF : CHUNK_SIZE;
            continue;
        }
        if (m->have == sizeof m->head - 1)
            return -1;
        m->head[m->have++] = c;
        m->head[m->have] = 0;
        size_t least = m->phase == HEAD ? 4 : 2;
        if (m->have >= least && !memcmp(m->head + m->have - least, "\r\n\r\n", least) && end_line(m))
            return -1;
    }
    return 0;
}

#endif
