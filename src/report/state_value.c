/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Values of a state file, read with distrust
 *
 * What can be written in many ways is taken in one only: the way in which the
 * state file itself is written. So 1.0 is no count and 24:00:00 no time of day,
 * and no reader of the document has to think of what else JSON allows. Nothing
 * is allocated: what cannot be read is not as it should be, and never for want of
 * memory.
 */

#include <string.h>
#include <time.h>

#include "base/text.h"
#include "base/utf8.h"
#include "report/state_value.h"

#define TIME_LAYOUT "0000-00-00T00:00:00.000Z"

static bool read_string(struct json_slice value, char *buffer, size_t size) {
        return json_slice_string(value, buffer, size) && json_is_clean_name(buffer, size - 1);
}

/* What somebody else said: the service keeps it as it came, in ERROR_MAX bytes that JSON may treble. */
static bool read_words(struct json_slice value, char *buffer, size_t size) {
        char whole[ERROR_MAX * 3];
        size_t n;

        if (!json_slice_string(value, whole, sizeof(whole)))
                return false;

        n = utf8_cut(whole, size - 1);
        memcpy(buffer, whole, n);
        buffer[n] = '\0';
        return true;
}

static bool read_count(struct json_slice value, uint64_t max, uint64_t *ret_count) {
        uint64_t count = 0;

        for (size_t i = 0; i < value.size; i++) {
                unsigned digit = (unsigned char) value.data[i] - (unsigned) '0';

                if (digit > 9 || digit > max || count > (max - digit) / 10)
                        return false;
                count = count * 10 + digit;
        }

        *ret_count = count;
        return true;
}

/* An integer of the field's own size, which holds the greatest that the row allows. */
static bool store_count(struct json_slice value, uint64_t min, const struct state_field *field,
                        void *into) {
        uint64_t count;
        uint32_t narrow;

        if (!read_count(value, field->max, &count) || count < min)
                return false;

        narrow = (uint32_t) count;
        if (field->size == sizeof(narrow))
                memcpy(into, &narrow, sizeof(narrow));
        else
                memcpy(into, &count, sizeof(count));
        return true;
}

static bool read_seconds(struct json_slice value, uint64_t max, usec_t *ret_usec) {
        const char *point = memchr(value.data, '.', value.size);
        size_t whole = point ? (size_t) (point - value.data) : 0;
        size_t decimals = point ? value.size - whole - 1 : 0;
        uint64_t seconds, fraction;

        if (decimals < 1 || decimals > 3 ||
            !read_count((struct json_slice) { value.data, whole }, max / USEC_PER_SEC, &seconds) ||
            !read_count((struct json_slice) { point + 1, decimals }, 999, &fraction))
                return false;

        for (; decimals < 3; decimals++)
                fraction *= 10;
        *ret_usec = seconds * USEC_PER_SEC + fraction * USEC_PER_MSEC;
        return *ret_usec <= max;
}

static bool read_time(struct json_slice value, usec_t *ret_realtime) {
        char string[sizeof(TIME_LAYOUT)], again[TIME_SIZE];
        struct tm tm = {};
        unsigned msec;

        if (!json_slice_string(value, string, sizeof(string)) ||
            /* NOLINTNEXTLINE(cert-err34-c): what sscanf(3) takes for a number too lightly is found below */
            sscanf(string, "%4d-%2d-%2dT%2d:%2d:%2d.%3uZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &msec) != 7)
                return false;

        tm.tm_year -= 1900;
        tm.tm_mon -= 1;

        time_t seconds = timegm(&tm);
        if (seconds <= 0)
                return false;

        /* What does not come out as it went in was no such time: 30 February, spaces, signs. */
        usec_t realtime = (usec_t) seconds * USEC_PER_SEC + msec * USEC_PER_MSEC;
        time_format(realtime, again);
        if (strcmp(again, string) != 0)
                return false;

        *ret_realtime = realtime;
        return true;
}

/* 0 is how null is told: there is no other. */
static bool store_no_count(const struct state_field *field, void *into) {
        memset(into, 0, field->size);
        return true;
}

static bool store_usec(usec_t usec, void *into) {
        memcpy(into, &usec, sizeof(usec));
        return true;
}

static bool fill(const struct state_field *field, struct json_slice value, void *into) {
        char type = json_type_of(value);
        usec_t usec;

        switch (field->kind) {
        case STATE_STRING:
                return read_string(value, into, field->size);
        case STATE_STRING_OR_NULL:
                *(char *) into = '\0';
                return type == 'n' || read_string(value, into, field->size);
        case STATE_WORDS_OR_NULL:
                *(char *) into = '\0';
                return type == 'n' || read_words(value, into, field->size);
        case STATE_COUNT:
                return store_count(value, 0, field, into);
        case STATE_COUNT_OR_NULL:
                return type == 'n' ? store_no_count(field, into) : store_count(value, 1, field, into);
        case STATE_SECONDS:
                return read_seconds(value, field->max, &usec) && store_usec(usec, into);
        case STATE_TIME_OR_NULL:
                if (type == 'n')
                        return store_usec(0, into);
                return read_time(value, &usec) && store_usec(usec, into);
        case STATE_BOOL:
                *(bool *) into = type == 't';
                return type == 't' || type == 'f';
        case STATE_SLICE:
                memcpy(into, &value, sizeof(value));
                return true;
        }

        return false;
}

bool state_value_read(struct json_slice object, const struct state_field *fields, size_t n_fields,
                      void *into) {
        struct json_slice quoted, value;
        size_t position = 0;
        uint32_t found = 0;

        if (json_type_of(object) != '{')
                return false;

        while (json_slice_next(object, &position, &quoted, &value)) {
                char key[32];

                if (!json_slice_string(quoted, key, sizeof(key)))
                        continue;

                for (size_t i = 0; i < n_fields; i++) {
                        if (strcmp(fields[i].key, key) != 0)
                                continue;
                        if (found & UINT32_C(1) << i ||
                            !fill(&fields[i], value, (char *) into + fields[i].offset))
                                return false;
                        found |= UINT32_C(1) << i;
                }
        }

        return found == (UINT32_C(1) << n_fields) - 1;
}
