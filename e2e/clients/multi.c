/*
 * multi.c: fetches several targets by libcurl's multi interface over one connection, which each takes over from the one
 * before it.
 *
 *     multi BASE OUT TARGET...
 *
 * The first target's content is written to OUT; of each it prints the result, the status, the length, a checksum (FNV-1a), and
 * how many connections were made for it.
 */
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGETS 32

struct transfer {
    CURL *easy;
    CURLcode result;
    FILE *out;
    uint64_t length, sum;
};

static size_t take(char *octets, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    for (size_t i = 0; i < size * count; i++) {
        t->sum = (t->sum ^ (unsigned char)octets[i]) * 0x100000001b3ULL;
    }
    t->length += size * count;
    return t->out ? fwrite(octets, size, count, t->out) : count;
}

int main(int argc, char **argv)
{
    static struct transfer all[TARGETS];
    int count = argc - 3, running = 1, failed = 0;
    if (count < 1 || count > TARGETS || curl_global_init(CURL_GLOBAL_DEFAULT)) {
        fprintf(stderr, "usage: multi BASE OUT TARGET...\n");
        return 2;
    }
    CURLM *multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, 1L);
    for (int i = 0; i < count; i++) {
        char url[1024];
        snprintf(url, sizeof url, "%s%s", argv[1], argv[3 + i]);
        struct transfer *t = &all[i];
        t->sum = 0xcbf29ce484222325ULL;
        t->result = CURLE_RECV_ERROR;
        t->out = i ? NULL : fopen(argv[2], "wb");
        t->easy = curl_easy_init();
        curl_easy_setopt(t->easy, CURLOPT_URL, url);
        curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, take);
        curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
        curl_easy_setopt(t->easy, CURLOPT_TIMEOUT, 8L);
        if (getenv("CURL_CA_BUNDLE") && *getenv("CURL_CA_BUNDLE")) { /* as curl has it */
            curl_easy_setopt(t->easy, CURLOPT_CAINFO, getenv("CURL_CA_BUNDLE"));
        }
        curl_easy_setopt(t->easy, CURLOPT_PIPEWAIT, 1L);
        curl_multi_add_handle(multi, t->easy);
    }
    while (running && curl_multi_perform(multi, &running) == CURLM_OK && running) {
        curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(multi, &left));) {
        for (int i = 0; i < count; i++) {
            if (all[i].easy == m->easy_handle) {
                all[i].result = m->data.result;
            }
        }
    }
    for (int i = 0; i < count; i++) {
        long status = 0, connects = 0;
        curl_easy_getinfo(all[i].easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(all[i].easy, CURLINFO_NUM_CONNECTS, &connects);
        printf("%s: %d %ld %" PRIu64 " %016" PRIx64 " %ld\n", argv[3 + i], (int)all[i].result, status, all[i].length, all[i].sum, connects);
        failed += all[i].result != CURLE_OK;
        curl_multi_remove_handle(multi, all[i].easy);
        curl_easy_cleanup(all[i].easy);
    }
    if (all[0].out) {
        fclose(all[0].out);
    }
    curl_multi_cleanup(multi);
    return failed > 0;
}
