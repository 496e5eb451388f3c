/* version.c: which version of Midstream the library is of. It is read from the file, by its section (ctl/libraries). */
#ifndef MIDSTREAM_VERSION
#define MIDSTREAM_VERSION "unreleased"
#endif

static const char version[] __attribute__((used, section(".midstream.version"))) = MIDSTREAM_VERSION;
