/* openssl.c: see openssl.h. */
#include "openssl.h"

#include <dlfcn.h>

struct openssl openssl;

#define CALL(result, name, parameters) #name,
static const char *const names[] = {
#include "openssl.def"
};
#undef CALL

const char *openssl_load(void)
{
    void **functions = (void **)&openssl;
    if (!dlopen("libssl.so.3", RTLD_NOW | RTLD_GLOBAL)) {
        return "there is no libssl.so.3 (OpenSSL 3)";
    }
    dlopen("libcrypto.so.3", RTLD_NOW | RTLD_GLOBAL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        /* In the order of a program that were linked with it: the preload comes first. */
        functions[i] = dlsym(RTLD_DEFAULT, names[i]);
        if (!functions[i]) {
            return "libssl.so.3 lacks what is needed";
        }
    }
    return NULL;
}
