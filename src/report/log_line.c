/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The lines of the log
 *
 * Pure functions from a message and its pairs to the bytes of one line, the same
 * bytes wherever they go. The message is a literal of this program; the values
 * are what the world said, and pass through text_add_logfmt() or text_add_json(),
 * which let nothing by that could end the line, forge a pair or drive a terminal.
 */

#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"
#include "report/log_line.h"

/* Levels are padded to the longest of them, so that messages stand below each other. */
#define LEVEL_WIDTH 8

const char *log_level_name(enum log_level level) {
        switch (level) {
        case LEVEL_DEBUG:
                return "DEBUG";
        case LEVEL_INFO:
                return "INFO";
        case LEVEL_WARNING:
                return "WARNING";
        case LEVEL_ERROR:
                return "ERROR";
        case LEVEL_CRITICAL:
                return "CRITICAL";
        }

        return "UNKNOWN";
}

size_t log_value_size(const char *value) {
        return utf8_cut(value, LOG_VALUE_MAX);
}

static void add_string(struct text *text, const char *value,
                       void (*add)(struct text *text, const char *string)) {
        _cleanup_text_ struct text cut = TEXT_INIT;
        size_t size;

        if (!value || value[size = log_value_size(value)] == '\0') {
                add(text, value);
                return;
        }

        text_add_bytes(&cut, value, size);
        text_add(&cut, "…");
        if (text_error(&cut) < 0) {
                text->failed = true;
                return;
        }
        add(text, cut.data);
}

static void add_value(struct text *text, const struct log_field *field,
                      void (*add)(struct text *text, const char *string)) {
        switch (field->type) {
        case LOG_FIELD_STRING:
                add_string(text, field->string, add);
                break;
        case LOG_FIELD_INT:
                text_addf(text, "%" PRId64, field->integer);
                break;
        case LOG_FIELD_SECONDS:
                text_add_seconds(text, field->usec);
                break;
        case LOG_FIELD_END:
                break;
        }
}

void log_add_message(struct text *text, const char *message, const struct log_field *fields) {
        text_add(text, message);

        for (const struct log_field *field = fields; field->type != LOG_FIELD_END; field++) {
                text_add(text, " ");
                text_add(text, field->key);
                text_add(text, "=");
                add_value(text, field, text_add_logfmt);
        }
}

static void add_json_line(struct text *text, enum log_level level, enum event event,
                          const char *message, const struct log_field *fields, usec_t realtime) {
        const char *id = event_message_id(event);

        text_add(text, "{\"time\": \"");
        text_add_time(text, realtime);
        text_add(text, "\", \"level\": ");
        text_add_json(text, log_level_name(level));
        text_add(text, ", \"message\": ");
        text_add_json(text, message);
        if (id) {
                text_add(text, ", \"message_id\": ");
                text_add_json(text, id);
        }

        for (const struct log_field *field = fields; field->type != LOG_FIELD_END; field++) {
                text_add(text, ", ");
                text_add_json(text, field->key);
                text_add(text, ": ");
                add_value(text, field, text_add_json);
        }
        text_add(text, "}\n");
}

void log_format_line(struct text *text, enum log_format format, enum log_level level,
                     enum event event, const char *message, const struct log_field *fields,
                     usec_t realtime) {
        if (format == LOG_FORMAT_JSON) {
                add_json_line(text, level, event, message, fields, realtime);
                return;
        }

        text_addf(text, "%-*s ", LEVEL_WIDTH, log_level_name(level));
        log_add_message(text, message, fields);
        text_add(text, "\n");
}
