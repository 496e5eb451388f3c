/*
 * reframe.c: has shim/framing/reframe.c deliver an answer in the framing of another, for the test in the folder above.
 *
 * A case on standard input: i64 left; u32 longer, whole, seed; u32 octets of the old response that the program has read,
 * and these; u32 octets of the new answer, and these. Its answer on standard output: u32 1 if it is refused, or 0; u32
 * over, spent, wrong, used octets of the answer; u32 octets made, and these.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framing/reframe.h"

static void take(void *into, size_t count)
{
    if (fread(into, 1, count, stdin) != count) {
        exit(feof(stdin) ? 0 : 1);
    }
}

static void give(const void *from, size_t count)
{
    fwrite(from, 1, count, stdout);
}

static void give_number(uint32_t n)
{
    give(&n, sizeof n);
}

static uint8_t *take_octets(uint32_t *count)
{
    take(count, sizeof *count);
    uint8_t *octets = malloc(*count + 1u);
    if (!octets) {
        exit(1);
    }
    take(octets, *count);
    return octets;
}

/* Reads octets; with `head` up to the end of the head. Returns how many. */
static size_t follow(struct framing *f, const uint8_t *octets, size_t count, bool head)
{
    size_t at = 0, used;
    while (at < count) {
        enum framing_event event = framing_read(f, octets + at, count - at, &used);
        at += used;
        if (event == FRAMING_BEGUN) {
            f->method = FRAMING_GET;
        } else if ((event == FRAMING_ENDED_HEAD && head) || event == FRAMING_ENDED) {
            break;
        }
    }
    return at;
}

/* As handover.c has it. */
static struct ms_position position(const struct framing *f)
{
    struct ms_position p = { .phase = f->phase, .line = f->line, .cr = f->cr, .chunk_digits = f->digits };
    if (f->phase == MS_CHUNK_DATA) {
        p.chunk_left = f->left;
    } else if (f->phase == MS_CHUNK_SIZE || f->phase == MS_CHUNK_EXT || f->phase == MS_CHUNK_SIZE_LF) {
        p.chunk_size = f->left;
    }
    return p;
}

int main(void)
{
    struct ms_answer answer = { 0 };
    uint32_t seed, old_count, count;
    for (;;) {
        take(&answer.left, sizeof answer.left);
        take(&answer.longer, sizeof answer.longer);
        take(&answer.whole, sizeof answer.whole);
        take(&seed, sizeof seed);
        uint8_t *old = take_octets(&old_count), *octets = take_octets(&count);
        struct framing in, source;
        framing_reset(&in, false);
        framing_reset(&source, false);
        follow(&in, old, old_count, false);
        size_t at = follow(&source, octets, count, true), made = 0;
        struct ms_position p = position(&in);
        struct reframe r;
        /* What handover.c and twin.c refuse before it comes to that. */
        bool stands = in.phase >= MS_LENGTH && in.phase != MS_BROKEN, known = source.phase >= MS_LENGTH && source.phase != MS_BROKEN;
        enum ms_why why = stands && known ? reframe_begin(&r, &p, &source, &answer) : MS_WHY_NOT_IN_CONTENT;
        if (why) {
            memset(&r, 0, sizeof r);
        }
        size_t room = count * 12 + 1000;
        uint8_t *out = malloc(room);
        if (!out) {
            return 1;
        }
        bool ended = false;
        while (!why && made < room) {
            /* Pieces of memory of their own, so that whoever checks memory sees what goes beyond. */
            seed = seed * 1664525u + 1013904223u;
            size_t have = count - at, part = (seed >> 8) % 60, space = (seed >> 20) % 40, used, dry_used;
            part = part < have ? part : have;
            space = space < room - made ? space : room - made;
            uint8_t *piece = malloc(part + 1), *to = malloc(space + 1);
            if (!piece || !to) {
                return 1;
            }
            memcpy(piece, octets + at, part);
            struct reframe dry = r;
            size_t dry_made = reframe(&dry, piece, part, &dry_used, NULL, space);
            size_t n = reframe(&r, piece, part, &used, to, space);
            if (n != dry_made || used != dry_used || memcmp(&dry, &r, sizeof r)) {
                abort();
            }
            memcpy(out + made, to, n);
            free(piece);
            free(to);
            made += n;
            at += used;
            if (r.over || r.wrong) {
                break;
            }
            if (at == count && !n && space && !reframe_ended(&r)) {
                ended = true;
            }
            if (ended) {
                break;
            }
        }
        give_number(why != MS_WHY_NONE);
        give_number(r.over);
        give_number(r.spent);
        give_number(r.wrong);
        give_number((uint32_t)at);
        give_number((uint32_t)made);
        give(out, made);
        fflush(stdout);
        free(out);
        free(old);
        free(octets);
    }
}
