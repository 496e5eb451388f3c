/*
 * follow.c: has shim/framing/framing.c follow messages that come on standard input, and says on standard output what it made of
 * them, for the test in the folder above.
 *
 * A message: u8 0 response, 1 response to HEAD, 2 request; u32 octets; u32 pieces; the sizes of the pieces, u32
 * each; the octets. Its answer is a line: where the head ended (-1 nowhere), the phase then, status, Content-Length,
 * octets of content, where the message ended (-1 nowhere), the phase at the end of all, the digest of the content.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "framing/digest.h"
#include "framing/framing.h"

static bool take(void *into, size_t count)
{
    return fread(into, 1, count, stdin) == count;
}

int main(void)
{
    uint8_t kind;
    uint32_t count, pieces;
    while (take(&kind, 1) && take(&count, 4) && take(&pieces, 4)) {
        uint32_t *sizes = malloc(pieces * sizeof *sizes + 1);
        if (!sizes || !take(sizes, pieces * sizeof *sizes)) {
            return 1;
        }
        struct framing f;
        framing_reset(&f, kind == 2);
        static struct ms_counters counters;
        static const _Atomic uint64_t keys[2] = { DIGEST_PRIME - 5, 1234567890123456789 };
        digest_start(&counters);
        f.digest = &counters;
        f.digest_keys = keys;
        int64_t at = 0, head = -1, end = -1, content = 0;
        unsigned phase = f.phase;
        for (uint32_t i = 0; i < pieces; i++) {
            /* In memory of its own, so that whoever checks memory sees a read beyond the piece. */
            uint8_t *piece = malloc(sizes[i] ? sizes[i] : 1);
            if (!piece || !take(piece, sizes[i])) {
                return 1;
            }
            size_t done = 0, used;
            bool again = true;
            while (end < 0 && again) {
                enum framing_event event = framing_read(&f, piece + done, sizes[i] - done, &used);
                done += used;
                at += (int64_t)used;
                switch (event) {
                case FRAMING_BEGUN:
                    f.method = kind == 2 ? f.method : kind == 1 ? FRAMING_HEAD_REQUEST : FRAMING_GET;
                    break;
                case FRAMING_ENDED_HEAD:
                    head = at;
                    phase = f.phase;
                    break;
                case FRAMING_ENDED:
                    content = (int64_t)f.content;
                    end = at;
                    break;
                case FRAMING_MORE:
                    again = false;
                }
            }
            free(piece);
        }
        free(sizes);
        if (end < 0) {
            content = (int64_t)f.content;
        }
        printf("%" PRId64 " %u %u %" PRId64 " %" PRId64 " %" PRId64 " %u %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", head, phase, f.status, f.length, content,
               end, f.phase, atomic_load(&counters.digest_at), atomic_load(&counters.digest[0]), atomic_load(&counters.digest[1]));
        fflush(stdout);
    }
    return 0;
}
