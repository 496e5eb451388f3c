/* ftp.c: see ftp.h. */
#include "ftp.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "process/calls.h"
#include "reply.h"
#include "stream/channel.h"

static const char greeting[] = "220";

bool ftp_greets(struct stream *s, const uint8_t *octets, size_t count)
{
    struct dialogue *d = &s->dialogue;
    size_t n = sizeof greeting - 1;
    if (!d->state && (!count || octets[0] != '2')) {
        return false;
    }
    /* In as many pieces as they come; what is behind them is looked at like any reply. */
    for (size_t i = 0; i < count && d->answered.length + i <= n; i++) {
        size_t at = d->answered.length + i;
        if (at < n ? octets[i] != greeting[at] : octets[i] != ' ' && octets[i] != '-') {
            return false;
        }
    }
    d->state = DIALOGUE_GREETS;
    return true;
}

/* The commands that a program may begin with: SMTP's servers greet as FTP's do. */
static const char *const first_commands[] = { "USER ", "AUTH ", "FEAT", "HOST ", "OPTS ", "CLNT " };

/* 1: one of them; 0: not yet clear; -1: none. */
static int begins(const struct dialogue_line *line)
{
    for (size_t i = 0; i < sizeof first_commands / sizeof *first_commands; i++) {
        size_t n = strlen(first_commands[i]);
        if (!strncasecmp(line->text, first_commands[i], line->length < n ? line->length : n)) {
            return line->length >= n;
        }
    }
    return -1;
}

static bool is_command(const struct dialogue_line *line, const char *name)
{
    size_t n = strlen(name);
    return line->length >= n && !strncasecmp(line->text, name, n) && (line->length == n || line->text[n] == ' ');
}

/* One more octet of a line. True when it has ended: it is without its end, and ends in NUL. */
static bool line_octet(struct dialogue_line *line, char c)
{
    if (c != '\n') {
        if (line->length < DIALOGUE_LINE - 1) {
            line->text[line->length] = c;
        }
        line->length += line->length < UINT32_MAX;
        return false;
    }
    if (line->length >= DIALOGUE_LINE) {
        line->length = DIALOGUE_LINE - 1;
    }
    if (line->length && line->text[line->length - 1] == '\r') {
        line->length--;
    }
    line->text[line->length] = 0;
    return true;
}

/* The pieces that have been kept. False: the core is behind, and they are lost. */
static bool tell_kept(const struct stream *s)
{
    const struct dialogue *d = &s->dialogue;
    for (uint32_t at = 0; at < d->kept;) {
        uint32_t length = (uint32_t)(d->octets[at + 1] << 8 | d->octets[at + 2]);
        if (!channel_send(s, MS_DIALOGUE, 0, 1, d->octets[at], 0, d->octets + at + 3, length)) {
            return false;
        }
        at += 3 + length;
    }
    return true;
}

/* A file is asked for, or there is no room for what is said before one is: the core is told of the dialogue from now on. */
static void tell(struct stream *s)
{
    struct dialogue *d = &s->dialogue;
    if (!stream_open(s)) {
        stream_abandon(s);
        return;
    }
    d->told = true;
    bool good = tell_kept(s);
    explicit_bzero(d->octets, d->kept);
    d->kept = 0;
    if (!good) {
        stream_leave(s, MS_WHY_CORE_BEHIND);
    }
}

static bool has_room(struct dialogue *d, size_t count)
{
    if (!d->octets) {
        int saved = errno;
        void *memory = mmap(NULL, DIALOGUE_OCTETS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        errno = saved;
        d->octets = memory == MAP_FAILED ? NULL : memory;
    }
    return d->octets && d->kept + 3 + count <= DIALOGUE_OCTETS;
}

/* Octets of the program's, or of the server's. False when the stream is not followed any more. */
static bool pass_on(struct stream *s, bool program, const uint8_t *octets, size_t count)
{
    struct dialogue *d = &s->dialogue;
    while (count && d->state == DIALOGUE_FOLLOWED) {
        size_t n = count < MS_DATA_MAX ? count : MS_DATA_MAX;
        if (!d->told && !has_room(d, n)) {
            if (!d->logged_in || !d->octets) {
                stream_leave(s, MS_WHY_NOT_HTTP);
                return false;
            }
            tell(s);
        }
        if (d->told && atomic_load(&s->stage) != STAGE_OPEN) {
            return false;
        }
        if (d->told && !channel_send(s, MS_DIALOGUE, 0, 1, program, 0, octets, n)) {
            stream_leave(s, MS_WHY_CORE_BEHIND);
            return false;
        }
        if (!d->told) {
            uint8_t *at = d->octets + d->kept;
            at[0] = program;
            at[1] = (uint8_t)(n >> 8);
            at[2] = (uint8_t)n;
            memcpy(at + 3, octets, n);
            d->kept += 3 + (uint32_t)n;
        }
        octets += n;
        count -= n;
    }
    return true;
}

/* The stream of a data connection that is still there, NULL if there is none. */
static struct stream *data_of(const struct dialogue *d)
{
    struct stream *data = d->data ? stream_slot(d->data_slot) : NULL;
    return data && data->id == d->data && atomic_load(&data->stage) == STAGE_CANDIDATE ? data : NULL;
}

/* The core has been told that a file is asked for: the data connection's content is that. */
static void open_data(struct stream *s)
{
    struct stream *data = data_of(&s->dialogue);
    if (data && s->dialogue.told && atomic_load(&s->stage) == STAGE_OPEN && !stream_open(data)) {
        stream_abandon(data);
    }
}

/* A line that the program has written. */
static void command(struct stream *s)
{
    struct dialogue *d = &s->dialogue;
    const struct dialogue_line *line = &d->said;
    d->logged_in = d->logged_in || is_command(line, "USER");
    d->secures = d->secures || is_command(line, "AUTH");
    if (d->logged_in && is_command(line, "RETR")) {
        d->retrieves = true;
        if (!d->told) {
            tell(s);
        }
        open_data(s);
    }
}

/* A line that the program has read. */
static void reply(struct stream *s)
{
    struct dialogue *d = &s->dialogue;
    const char *text = d->answered.text;
    in_port_t port = 0;
    struct in_addr at = { 0 };
    if (d->secures && !strncmp(text, "234", 3)) {
        /* What follows is TLS: neither the dialogue nor its files are seen. */
        if (d->told || stream_open(s)) {
            stream_leave(s, MS_WHY_FTP_TLS);
        } else {
            stream_abandon(s);
        }
        return;
    }
    if ((!strncmp(text, "227 ", 4) && reply_passive(text + 4, &at, &port)) || (!strncmp(text, "229 ", 4) && reply_extended_passive(text + 4, &port))) {
        d->port = port;
        d->at = at;
        d->data = 0;
        d->retrieves = false;
    }
}

/* Looks at each line. False when the stream is not followed any more. */
static bool follow(struct stream *s, bool program, const uint8_t *octets, size_t count)
{
    struct dialogue *d = &s->dialogue;
    struct dialogue_line *line = program ? &d->said : &d->answered;
    for (size_t done = 0; done < count;) {
        size_t n = 0;
        bool ended = false;
        while (done + n < count && !ended) {
            ended = line_octet(line, (char)octets[done + n++]);
        }
        /* A line is told of before what it means is done. */
        if (!pass_on(s, program, octets + done, n)) {
            return false;
        }
        done += n;
        if (ended) {
            program ? command(s) : reply(s);
            line->length = 0;
            explicit_bzero(line->text, sizeof line->text); /* a password, perhaps */
        }
        uint32_t stage = atomic_load(&s->stage);
        if (stage != STAGE_CANDIDATE && stage != STAGE_HTTP && stage != STAGE_OPEN) {
            return false;
        }
    }
    return true;
}

/* Two threads at once: which of them was first cannot be told. */
static bool enter(struct stream *s)
{
    if (atomic_exchange(&s->dialogue.busy, true)) {
        stream_leave(s, MS_WHY_TWO_WRITERS);
        return false;
    }
    return true;
}

static void leave(struct stream *s, uint64_t id)
{
    if (s->id == id) {
        atomic_store(&s->dialogue.busy, false);
    }
}

/* The first command decides. False when it is none of FTP's. */
static bool decide(struct stream *s, const uint8_t *octets, size_t count)
{
    struct dialogue *d = &s->dialogue;
    struct dialogue_line first = d->said;
    int what = 0;
    for (size_t i = 0; i < count && !what && octets[i] != '\n' && octets[i] != '\r'; i++) {
        line_octet(&first, (char)octets[i]);
        what = begins(&first);
    }
    bool whole = memchr(octets, '\n', count);
    if (what < 0 || (!what && whole) || (what > 0 && !stream_advance(s, false, STAGE_HTTP))) {
        stream_leave(s, MS_WHY_NOT_HTTP);
        return false;
    }
    if (what > 0) {
        d->state = DIALOGUE_FOLLOWED;
        atomic_store(&s->exchanges.sent, 1);
        s->in.phase = MS_CLOSE;
        atomic_fetch_add(&dialogue_controls, 1);
        pass_on(s, true, (const uint8_t *)d->said.text, d->said.length); /* what has been written of it before */
    }
    return true;
}

void ftp_sent(struct stream *s, const uint8_t *octets, size_t count)
{
    if (s->dialogue.state == DIALOGUE_DATA) {
        stream_leave(s, MS_WHY_NOT_HTTP); /* an upload */
        return;
    }
    uint64_t id = s->id;
    if (enter(s)) {
        if (s->dialogue.state == DIALOGUE_FOLLOWED || decide(s, octets, count)) {
            follow(s, true, octets, count);
        }
        leave(s, id);
    }
}

void ftp_received(struct stream *s, const uint8_t *octets, size_t count)
{
    uint64_t id = s->id;
    if (enter(s)) {
        follow(s, false, octets, count);
        leave(s, id);
    }
}

/* Whether an address is that of the control connection's server, as the program knows it, or the one that it has named. */
static bool is_offered(const struct stream *control, const struct sockaddr_in6 *to)
{
    const struct sockaddr_in6 *peer = &control->peer;
    const struct sockaddr_in *four = (const struct sockaddr_in *)to, *peer_four = (const struct sockaddr_in *)peer;
    const struct dialogue *d = &control->dialogue;
    if (!d->port || to->sin6_port != d->port) { /* a sockaddr_in has it in the same place */
        return false;
    }
    if (to->sin6_family == AF_INET6) {
        return peer->sin6_family == AF_INET6 && !memcmp(&to->sin6_addr, &peer->sin6_addr, sizeof to->sin6_addr);
    }
    return four->sin_addr.s_addr == d->at.s_addr || (peer_four->sin_family == AF_INET && four->sin_addr.s_addr == peer_four->sin_addr.s_addr);
}

static bool is_followed(const struct stream *s)
{
    uint32_t stage = atomic_load(&s->stage);
    return s->dialogue.state == DIALOGUE_FOLLOWED && (stage == STAGE_HTTP || stage == STAGE_OPEN);
}

/* The control connection that has offered a data connection at that address, NULL if none has. */
static struct stream *offers(const struct sockaddr_in6 *to, const struct stream *but)
{
    uint32_t used = atomic_load_explicit(&dialogue_controls, memory_order_relaxed) ? stream_slots_used() : 0;
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *control = stream_slot(slot);
        if (control && control != but && is_followed(control) && is_offered(control, to)) {
            return control;
        }
    }
    return NULL;
}

const struct stream *ftp_carried(const struct sockaddr *address, socklen_t length, struct sockaddr_in6 *to)
{
    struct sockaddr_in6 at = { 0 };
    memcpy(&at, address, length < sizeof at ? length : sizeof at);
    const struct stream *control = offers(&at, NULL);
    const struct sockaddr_in6 *server = control ? &control->dialogue.server : NULL;
    if (!server || !server->sin6_family || (server->sin6_family == AF_INET6 && at.sin6_family == AF_INET)) {
        return NULL;
    }
    *to = *server;
    if (server->sin6_family != at.sin6_family) { /* RFC 4291 §2.5.5.2 */
        struct in_addr four = ((const struct sockaddr_in *)server)->sin_addr;
        *to = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
        to->sin6_addr.s6_addr[10] = to->sin6_addr.s6_addr[11] = 0xff;
        memcpy(&to->sin6_addr.s6_addr[12], &four, sizeof four);
    }
    to->sin6_port = at.sin6_port;
    return control;
}

bool ftp_connected(struct stream *s)
{
    struct stream *control = offers(&s->peer, s);
    if (!control) {
        return false;
    }
    struct dialogue *d = &control->dialogue;
    s->dialogue.state = DIALOGUE_DATA;
    s->dialogue.control = control->id;
    atomic_store(&s->exchanges.sent, 1);
    atomic_store(&s->counters->exchange, 1);
    s->exchanges.head_told = true; /* it has none */
    s->in.phase = MS_CLOSE;
    d->data_slot = s->slot;
    d->data = s->id;
    d->port = 0;
    if (d->server.sin6_family) {
        socklen_t length = sizeof s->local;
        REAL(getsockname)(s->fd, (struct sockaddr *)&s->local, &length);
        s->moved = true; /* the peer is what the program believes in */
    }
    if (d->retrieves) {
        open_data(control);
    }
    return true;
}
