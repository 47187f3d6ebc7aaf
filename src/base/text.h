/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A text that grows. An allocation that fails is remembered and asked for once,
 * at the end, by text_error(); until then every call is safe and does nothing.
 */

#include "base/util.h"

struct text {
        char *data;             /* NUL-terminated once something was added; else NULL */
        size_t size;            /* without the NUL */
        size_t allocated;
        bool failed;
};

#define TEXT_INIT ((struct text) {})

void text_done(struct text *text);

/* Forgets the content and keeps the memory. */
void text_clear(struct text *text);

/* 0, or -ENOMEM when any addition since text_clear() found no memory. */
int text_error(const struct text *text);

void text_add(struct text *text, const char *string);
void text_add_bytes(struct text *text, const char *bytes, size_t size);
void text_addf(struct text *text, const char *format, ...) _printf_(2, 3);

/* A JSON string with its quotes, or null for NULL. Bytes that are no UTF-8 become U+FFFD. */
void text_add_json(struct text *text, const char *string);

/*
 * A log value: as it is where it is harmless, else in double quotes. Quotes and
 * backslashes are escaped, and so is all that could break a line or drive a
 * terminal: control characters (C0, DEL, C1), line separators, bidirectional
 * overrides, bytes that are no UTF-8. NULL is written as null.
 */
void text_add_logfmt(struct text *text, const char *string);

/* Seconds with as few decimals as needed, at least one, at most three: 1.0, 0.25, 63.204. */
void text_add_seconds(struct text *text, usec_t usec);

/* The clock on the wall, in local time: "16:01:31". */
void text_add_clock(struct text *text, usec_t realtime);

/* RFC 3339 in UTC, with milliseconds; realtime in microseconds since 1970. */
void text_add_time(struct text *text, usec_t realtime);

/* The same where no memory may be asked for. */
enum { TIME_SIZE = 32 };
void time_format(usec_t realtime, char time[static TIME_SIZE]);

#define _cleanup_text_ _cleanup_(text_done)
