/* calls.c: looks up the functions that calls.def lists, behind this library. */
#include "calls.h"

#include <dlfcn.h>
#include <errno.h>

_Atomic(void *) calls_real[CALL_COUNT];

#define CALL(result, name, parameters) #name,
static const char *const names[CALL_COUNT] = {
#include "calls.def"
};
#undef CALL

static long no_such_function(void)
{
    errno = ENOSYS;
    return -1;
}

void *calls_look_up(enum call_index index)
{
    /* dlsym may change errno, and a hook must not. */
    int saved = errno;
    void *function = dlsym(RTLD_NEXT, names[index]);
    if (!function) {
        function = (void *)no_such_function;
    }
    atomic_store_explicit(&calls_real[index], function, memory_order_release);
    errno = saved;
    return function;
}
