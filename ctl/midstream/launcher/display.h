/* display.h: what is said on standard error. */
#ifndef MIDSTREAM_DISPLAY_H
#define MIDSTREAM_DISPLAY_H

#include <stdarg.h>

/*
 * Writes "midstream: ", the text and a line end to standard error; names of files and interpreters in it are other people's. As
 * in core/display, what a terminal would obey is shown as a question mark: control characters, what directs the writing, and
 * octets that are no UTF-8. A text of more than 2000 octets is cut.
 */
__attribute__((format(printf, 1, 0))) void display_line(const char *format, va_list arguments);

#endif
