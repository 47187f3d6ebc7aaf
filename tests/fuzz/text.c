/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What becomes of a string from outside on its way to people and programs: log
 * values, JSON, log lines, cells and facts on a terminal, masked arguments. The
 * first byte is a width; the rest is the string, up to its first NUL.
 */

#include <string.h>

#include "base/command_reader.h"
#include "base/json.h"
#include "base/utf8.h"
#include "command/mask.h"
#include "command/table.h"
#include "fuzz.h"
#include "report/log.h"
#include "report/log_line.h"

/* The string as JSON may hold it: each byte that is no UTF-8 is U+FFFD. */
static void add_mended(struct text *text, const char *string) {
        while (*string) {
                uint32_t code;
                size_t n = utf8_decode(string, SIZE_MAX, &code);

                if (n > 0)
                        text_add_bytes(text, string, n);
                else
                        text_add(text, "\uFFFD");
                string += n ?: 1;
        }
        text_add(text, "");
}

static void must_be_string(struct json_slice value, const char *string) {
        _cleanup_text_ struct text mended = TEXT_INIT;
        _cleanup_(freep) char *back = NULL;

        add_mended(&mended, string);
        back = malloc(mended.size + 1);
        must(back && json_slice_string(value, back, mended.size + 1));
        must(strcmp(back, mended.data) == 0);
        must(mended.size == 0 || !json_slice_string(value, back, mended.size));
}

static void check_json(const char *string) {
        _cleanup_text_ struct text json = TEXT_INIT;
        struct json_slice value;
        const char *problem;

        text_add_json(&json, string);
        must_be_harmless(&json, ONE_LINE);
        must(json_scan(json.data, json.size, &value, &problem) == 0);
        must(value.size == json.size);
        must_be_string(value, string);
}

/* Reads a log value back: escapes lose nothing. */
static void add_unescaped(struct text *text, const char *value) {
        static const char letters[] = "ntr\"\\", meanings[] = "\n\t\r\"\\";

        while (*value != '"') {
                char byte = *value;
                const char *letter;

                if (byte != '\\') {
                        text_add_bytes(text, &byte, 1);
                        value++;
                        continue;
                }
                letter = strchr(letters, value[1]);
                if (letter) {
                        text_add_bytes(text, &meanings[letter - letters], 1);
                        value += 2;
                } else {
                        size_t digits = value[1] == 'x' ? 2 : value[1] == 'u' ? 4 : 8;
                        char hex[9] = "";
                        unsigned long code;

                        must(value[1] == 'x' || value[1] == 'u' || value[1] == 'U');
                        must(strspn(value + 2, "0123456789abcdef") >= digits);
                        memcpy(hex, value + 2, digits);
                        code = strtoul(hex, NULL, 16);
                        if (digits == 2) {
                                byte = (char) code;
                                text_add_bytes(text, &byte, 1);
                        } else if (code < 0x800)
                                text_addf(text, "%c%c", (int) (0xC0 | code >> 6), (int) (0x80 | (code & 63)));
                        else if (code < 0x10000)
                                text_addf(text, "%c%c%c", (int) (0xE0 | code >> 12),
                                          (int) (0x80 | (code >> 6 & 63)), (int) (0x80 | (code & 63)));
                        else
                                text_addf(text, "%c%c%c%c", (int) (0xF0 | code >> 18),
                                          (int) (0x80 | (code >> 12 & 63)), (int) (0x80 | (code >> 6 & 63)),
                                          (int) (0x80 | (code & 63)));
                        value += 2 + digits;
                }
        }
        must(!value[1]);
        text_add(text, "");
}

static void check_logfmt(const char *string) {
        _cleanup_text_ struct text value = TEXT_INIT, back = TEXT_INIT;

        text_add_logfmt(&value, string);
        must_be_harmless(&value, ONE_LINE);
        if (value.data[0] != '"') {
                must(value.size > 0 && strcspn(value.data, " \"=\\") == value.size);
                must(strcmp(value.data, string) == 0);
                return;
        }
        add_unescaped(&back, value.data + 1);
        must(strcmp(back.data, string) == 0);
}

static void check_lines(const char *string) {
        const struct log_field fields[] = { LOG_STRING("error", string), LOG_INT("attempts", 7),
                                            LOG_SECONDS("outage_seconds", 63204000), { .type = LOG_FIELD_END } };
        _cleanup_text_ struct text line = TEXT_INIT, json = TEXT_INIT;
        struct json_slice object, error;
        const char *problem;

        log_format_line(&line, LOG_FORMAT_TEXT, LEVEL_WARNING, EVENT_RESTORED, "Something", fields, 0);
        must_be_harmless(&line, LINES);
        must(strchr(line.data, '\n') == line.data + line.size - 1);

        log_format_line(&json, LOG_FORMAT_JSON, LEVEL_WARNING, EVENT_RESTORED, "Something", fields, 0);
        must_be_harmless(&json, LINES);
        must(strchr(json.data, '\n') == json.data + json.size - 1);
        must(json_scan(json.data, json.size, &object, &problem) == 0);
        must(json_slice_member(object, "error", &error) == 0);
        if (log_value_size(string) == strlen(string))
                must_be_string(error, string);
}

static void check_columns(const char *string, size_t columns) {
        _cleanup_text_ struct text styled = TEXT_INIT, cut = TEXT_INIT, wrapped = TEXT_INIT;
        const char *rest = string;

        text_add_styled(&styled, false, STYLE_BAD, string);
        text_add(&styled, "");
        must_be_harmless(&styled, ONE_LINE);
        must(display_width(styled.data) == display_width(string));

        must(text_add_cut(&cut, string, columns) <= columns);
        text_add(&cut, "");
        must_be_harmless(&cut, ONE_LINE);
        must_fit(&cut, columns);

        for (size_t lines = 0; *rest && columns >= 2; lines++) {
                const char *before = rest;

                rest = text_add_wrapped(&wrapped, rest, columns);
                text_add(&wrapped, "\n");
                must(rest > before);
                must(lines <= strlen(string));
        }
        text_add(&wrapped, "");
        must_be_harmless(&wrapped, LINES);
        must_fit(&wrapped, columns >= 2 ? columns : 2);
}

/* The string between two others, in a table and as a fact. */
static void check_table(const char *string, unsigned columns) {
        const struct terminal terminal = { .fd = -1, .is_terminal = columns > 0, .width = columns };
        _cleanup_text_ struct text text = TEXT_INIT, facts_text = TEXT_INIT;
        _cleanup_facts_ struct facts facts = FACTS_INIT;
        _cleanup_table_ struct table table;

        table_init(&table, (const char *const[]) { "NAME", "STATUS", "URL", NULL });
        table.kept = 1u << 0 | 1u << 2;
        table_add_row(&table, (const char *const[]) { "fetch", string, "http://127.0.0.1:17520/mcp" });
        table_add_row(&table, (const char *const[]) { string, "running", NULL });
        must(table_format(&table, &terminal, &text) == 0);
        must_be_harmless(&text, LINES);

        facts_add(&facts, STYLE_NONE, "Last error", string);
        facts_add(&facts, STYLE_NONE, NULL, string);
        must(facts_format(&facts, &terminal, &facts_text) == 0);
        must_be_harmless(&facts_text, LINES);

        if (columns > 0) {
                must_fit(&text, columns);
                must_fit(&facts_text, columns);
        }
}

static void check_names(const char *string) {
        _cleanup_text_ struct text quoted = TEXT_INIT, stray = TEXT_INIT;
        size_t size = strlen(string), half = utf8_cut(string, size / 2);

        must(json_is_clean_name(string, 64) ==
             (size > 0 && size <= 64 && is_harmless(string, size, ONE_LINE)));
        must(half <= size / 2 && size / 2 - half < 4);
        must(!is_harmless(string, size, ONE_LINE) || is_harmless(string, half, ONE_LINE));

        text_add_quoted(&quoted, string, size);
        must_be_harmless(&quoted, ONE_LINE);
        must(quoted.size >= 2 && quoted.data[0] == '"' && quoted.data[quoted.size - 1] == '"');
        text_add_stray(&stray, string);
        must_be_harmless(&stray, ONE_LINE);
        /* What stands behind the '=' of a stray word may be a secret. */
        if (strchr(string, '=') && strlen(strchr(string, '=')) > 8)
                must(!strstr(stray.data, strchr(string, '=')));
}

/* Bounded whatever the string is; and nothing is left of it where it is a password, a token, a key. */
static void check_mask(const char *string) {
        _cleanup_text_ struct text masked = TEXT_INIT, url = TEXT_INIT, url_masked = TEXT_INIT;
        _cleanup_text_ struct text option = TEXT_INIT, option_masked = TEXT_INIT;
        size_t size = strlen(string);

        text_add_masked(&masked, string);
        must(text_error(&masked) == 0);
        must(masked.size <= size * 9 + sizeof MASK);

        text_addf(&option, "--api-token=%s", string);
        text_add_masked(&option_masked, option.data);
        must(strcmp(option_masked.data, "--api-token=" MASK) == 0);

        /* What may stand in a password and in the value of a query. */
        if (size > 0 && strcspn(string, "/?#@&=:, \t\"'") == size) {
                text_addf(&url, "https://user:%s@example.org/mcp?key=%s#part=%s", string, string, string);
                text_add_masked(&url_masked, url.data);
                must(strcmp(url_masked.data, "https://" MASK "@example.org/mcp?key=" MASK "#part=" MASK) == 0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *string = NULL;

        if (size == 0)
                return 0;
        string = strndup((const char *) data + 1, size - 1);
        must(string);

        check_json(string);
        check_logfmt(string);
        check_lines(string);
        check_columns(string, data[0] % 100);
        check_table(string, data[0] % 100);
        check_names(string);
        check_mask(string);
        return 0;
}
