/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the ways out of the log share: the names of levels, and how a message and its pairs read. */

#include "report/log.h"

/* A longer string is cut there, at a character's edge: a line stays one that a person can read. */
#define LOG_VALUE_MAX ((size_t) 8 << 10)

const char *log_level_name(enum log_level level);      /* "DEBUG", … */

/* How many bytes of a value are shown. */
size_t log_value_size(const char *value);

/* Appends the message and " key=value" for each pair: a text line without level, a MESSAGE. */
void log_add_message(struct text *text, const char *message, const struct log_field *fields);
