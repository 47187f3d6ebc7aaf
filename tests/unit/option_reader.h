/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the tests of options share: reading words and variables, and looking at the outcome. */

#include <check.h>
#include <string.h>

#include "base/option_table.h"

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

#define WORDS_MAX 16
#define WORDS(...) ((const char *[WORDS_MAX]) { __VA_ARGS__ })
#define NOTHING WORDS(NULL)

/* Reads words (without the program's name) and variables, both ended by NULL. */
static inline void read_all(struct configuration *configuration, const char **words,
                            const char **variables) {
        char *argv[WORDS_MAX + 2] = { (char *) "mcp-optimizer" };
        int argc = 1;

        for (; words[argc - 1]; argc++)
                argv[argc] = (char *) words[argc - 1];
        ck_assert_int_eq(configuration_read(configuration, argc, argv, (char **) variables), 0);
}

static inline const char *problems(const struct configuration *configuration) {
        return configuration->problems.size > 0 ? configuration->problems.data : "";
}

static inline size_t row_of(const char *option) {
        for (size_t i = 0; i < OPTION_COUNT; i++)
                if (strcmp(option_rows[i].option, option) == 0)
                        return i;

        ck_abort_msg("no such option: %s", option);
}

static inline void assert_view(const struct configuration *configuration, const char *option,
                               const char *value, enum option_origin origin) {
        struct setting_view view;

        configuration_view(configuration, row_of(option), &view);
        ck_assert_str_eq(view.option, option);
        ck_assert_str_eq(view.value.data, value);
        ck_assert_msg(view.origin == origin, "%s: %s", option, option_origin_name(view.origin));
        text_done(&view.value);
}

/* Reads one setting by "--option value", by "--option=value" or as a variable. */
static inline void read_one(struct configuration *configuration, int way, const char *option,
                            const char *value) {
        const struct option_row *row = &option_rows[row_of(option)];
        _cleanup_text_ struct text name = TEXT_INIT, joined = TEXT_INIT;

        text_addf(&name, "--%s", row->option);
        text_addf(&joined, "%s%s=%s", way == 1 ? "--" : "", way == 1 ? row->option : row->variable,
                  value);

        if (way == 0)
                read_all(configuration, WORDS(name.data, value), NOTHING);
        else if (way == 1)
                read_all(configuration, WORDS(joined.data), NOTHING);
        else
                read_all(configuration, NOTHING, WORDS(joined.data));
}
