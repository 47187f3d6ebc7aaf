/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Walking a text that json_scan() has let pass, as bytes: the members of an
 * object, the entries of an array, the text of a string.
 *
 * Nothing is allocated and nothing is copied but the text of a string: a slice
 * points into the body, which must outlive it. The walk relies on the grammar
 * being right, and therefore never looks for the end of the buffer inside a value.
 */

#include "base/json.h"

#include <assert.h>
#include <string.h>

/* The keys that are asked for are ours, and short. */
#define KEY_SIZE 64

char json_type_of(struct json_slice value) {
        switch (value.data[0]) {
        case '{':
        case '[':
        case '"':
        case 't':
        case 'f':
        case 'n':
                return value.data[0];
        default:
                return '0';
        }
}

static const char *skip_space(const char *at) {
        while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
                at++;

        return at;
}

/*
 * From the opening quote to behind the closing one, which is the first quote that
 * an even number of backslashes stands before. Searching for quotes is four times
 * as fast as looking at each byte, and most bytes of an answer are in strings.
 */
static const char *skip_string(const char *at) {
        const char *quote = at;

        for (;;) {
                const char *before;

                quote = rawmemchr(quote + 1, '"');
                for (before = quote; before[-1] == '\\'; before--)
                        ;
                if ((quote - before) % 2 == 0)
                        return quote + 1;
        }
}

static const char *skip_container(const char *at) {
        unsigned depth = 0;

        do {
                switch (*at) {
                case '"':
                        at = skip_string(at);
                        continue;
                case '{':
                case '[':
                        depth++;
                        break;
                case '}':
                case ']':
                        depth--;
                        break;
                }
                at++;
        } while (depth > 0);

        return at;
}

/* A number or a literal inside a container: it ends at the first byte that cannot be in one. */
static const char *skip_scalar(const char *at) {
        while (*at != ',' && *at != ']' && *at != '}' && (unsigned char) *at > ' ')
                at++;

        return at;
}

static struct json_slice value_at(const char *at) {
        const char *end;

        switch (*at) {
        case '"':
                end = skip_string(at);
                break;
        case '{':
        case '[':
                end = skip_container(at);
                break;
        default:
                end = skip_scalar(at);
        }

        return (struct json_slice) { at, (size_t) (end - at) };
}

bool json_slice_next(struct json_slice container, size_t *position, struct json_slice *ret_key,
                     struct json_slice *ret_value) {
        char type = json_type_of(container);
        struct json_slice key = {}, value;

        if (type != '{' && type != '[')
                return false;

        /* Behind the opening bracket, or behind the last value: at a comma or at the end. */
        const char *at = skip_space(container.data + (*position > 0 ? *position : 1));
        if (*at == ',')
                at = skip_space(at + 1);
        if (*at == ']' || *at == '}')
                return false;

        if (type == '{') {
                key = value_at(at);
                at = skip_space(key.data + key.size);
                at = skip_space(at + 1);        /* the colon */
        }
        value = value_at(at);

        *position = (size_t) (value.data + value.size - container.data);
        *ret_key = key;
        *ret_value = value;
        return true;
}

size_t json_slice_count(struct json_slice container) {
        struct json_slice key, value;
        size_t position = 0, n = 0;

        while (json_slice_next(container, &position, &key, &value))
                n++;

        return n;
}

static uint32_t hex_at(const char *at) {
        uint32_t unit = 0;

        for (unsigned i = 0; i < 4; i++)
                unit = unit << 4 | (at[i] <= '9' ? (uint32_t) (at[i] - '0')
                                                 : (uint32_t) ((at[i] | 0x20) - 'a' + 10));

        return unit;
}

static size_t encode(uint32_t code, char out[static 4]) {
        if (code < 0x80) {
                out[0] = (char) code;
                return 1;
        }
        if (code < 0x800) {
                out[0] = (char) (0xC0 | code >> 6);
                out[1] = (char) (0x80 | (code & 0x3F));
                return 2;
        }
        if (code < 0x10000) {
                out[0] = (char) (0xE0 | code >> 12);
                out[1] = (char) (0x80 | (code >> 6 & 0x3F));
                out[2] = (char) (0x80 | (code & 0x3F));
                return 3;
        }
        out[0] = (char) (0xF0 | code >> 18);
        out[1] = (char) (0x80 | (code >> 12 & 0x3F));
        out[2] = (char) (0x80 | (code >> 6 & 0x3F));
        out[3] = (char) (0x80 | (code & 0x3F));
        return 4;
}

/* The bytes that the escape at *at means; *at moves behind it. Returns how many they are. */
static size_t unescape(const char **at, char out[static 4]) {
        static const char escapes[] = "bfnrt", meanings[] = "\b\f\n\r\t";
        char c = (*at)[1];
        uint32_t code;

        if (c != 'u') {
                const char *found = strchr(escapes, c);

                out[0] = found ? meanings[found - escapes] : c;
                *at += 2;
                return 1;
        }

        code = hex_at(*at + 2);
        *at += 6;
        if (code >= 0xD800 && code <= 0xDBFF) {
                code = 0x10000 + ((code - 0xD800) << 10) + (hex_at(*at + 2) - 0xDC00);
                *at += 6;
        }

        return encode(code, out);
}

bool json_slice_string(struct json_slice string, char *buffer, size_t size) {
        const char *at = string.data + 1, *end = string.data + string.size - 1;
        size_t used = 0;

        if (json_type_of(string) != '"')
                return false;

        while (at < end) {
                char bytes[4];
                size_t n = 1;

                if (*at == '\\')
                        n = unescape(&at, bytes);
                else
                        bytes[0] = *at++;

                if (n >= size - used)
                        return false;
                memcpy(buffer + used, bytes, n);
                used += n;
        }

        buffer[used] = '\0';
        return true;
}

int json_slice_member(struct json_slice object, const char *key, struct json_slice *ret_value) {
        struct json_slice name, value, found = {};
        size_t position = 0;

        assert(strlen(key) < KEY_SIZE);

        if (json_type_of(object) != '{')
                return JSON_ABSENT;

        while (json_slice_next(object, &position, &name, &value)) {
                char text[KEY_SIZE];

                if (!json_slice_string(name, text, sizeof(text)) || strcmp(text, key) != 0)
                        continue;
                if (found.data)
                        return JSON_DUPLICATE;
                found = value;
        }

        if (!found.data)
                return JSON_ABSENT;

        *ret_value = found;
        return json_type_of(found) == 'n' ? JSON_ABSENT : 0;
}

/*
 * The pairs are the colons, and each value is either the first one, or follows a
 * comma or an opening bracket.
 */
void json_slice_measure(struct json_slice value, size_t *ret_values, size_t *ret_pairs) {
        const char *at = value.data, *end = value.data + value.size;
        size_t values = 1, pairs = 0;

        while (at < end) {
                if (*at == '"') {
                        at = skip_string(at);
                        continue;
                }
                if (*at == ',' || *at == '{' || *at == '[')
                        values++;
                else if (*at == ':')
                        pairs++;
                at++;
        }

        *ret_values = values;
        *ret_pairs = pairs;
}
