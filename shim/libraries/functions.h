/*
 * functions.h: what openssl.c, gnutls.c and nss.c have in common. Included after FUNCTIONS(F, MARK), the list of the library's
 * functions that are called but not interposed: F(result, name, parameters) for each, MARK before those that may be missing.
 */
#include "finding/library.h"

#define CALLER tls_caller(__builtin_return_address(0))

#define NUMBER(result, name, parameters) F_##name,
#define OPTIONAL F_MARK,
enum { FUNCTIONS(NUMBER, OPTIONAL) };
#undef OPTIONAL

#define NAME(result, name, parameters) #name,
#define OPTIONAL "",
static const char *const function_names[] = { FUNCTIONS(NAME, OPTIONAL) NULL };
#undef OPTIONAL

#define TYPE(result, name, parameters) typedef result(*name##_type) parameters;
#define OPTIONAL
FUNCTIONS(TYPE, OPTIONAL)
#undef OPTIONAL

#define F(library, name) ((name##_type)tls_call_of(library)->functions[F_##name])

/* The members that every struct tls_kind has, of functions that are named as they are. */
#define KIND_IN_COMMON              \
    .functions = function_names,    \
    .loaded = loaded,               \
    .hello = hello,                 \
    .begun = begun,                 \
    .describe = describe,           \
    .capture = capture,             \
    .refresh = refresh,             \
    .release = release,             \
    .say = say,                     \
    .pending = pending,             \
    .read = twin_read,              \
    .write = twin_write,            \
    .make = make,                   \
    .handshake = handshake,         \
    .judge = judge,                 \
    .ask = ask,                     \
    .needs = needs,                 \
    .facts = version_of,            \
    .attach = attach,               \
    .destroy = destroy
