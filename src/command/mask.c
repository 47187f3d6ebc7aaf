/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Masking by the look of it. ToolHive says which of its values are confidential
 * only where it has members for them; arguments and URLs are strings that may hold
 * anything, and there the name in front of a value has to tell. A secret without
 * a name, such as one in the path of a URL or behind a short option (-pX), cannot
 * be known.
 */

#include <string.h>

#include "base/ascii.h"
#include "command/mask.h"

#define URL_END " \t\"'"           /* none of which a URL can have in it */

/* What an option, a variable or a header carries is confidential where its name has one of these in it. */
static const char *const confidential_words[] = {
        "token", "secret", "pass", "pwd", "key", "credential", "auth", "bearer", "cookie", "session",
};

/* A whole "sig" is in "x-sig" and not in "design" or "signal". */
static bool has_word(const char *name, size_t size, const char *word, bool whole) {
        size_t length = strlen(word);

        for (size_t at = 0; at + length <= size; at++)
                if (ascii_equal_any_case(name + at, word, length) &&
                    (!whole || ((at == 0 || !ascii_is_alphanumeric(name[at - 1])) &&
                                (at + length == size || !ascii_is_alphanumeric(name[at + length])))))
                        return true;
        return false;
}

bool mask_is_confidential(const char *name, size_t size) {
        for (size_t i = 0; i < ELEMENTSOF(confidential_words); i++)
                if (has_word(name, size, confidential_words[i], false))
                        return true;
        return has_word(name, size, "sig", true);
}

/* What it carries may be NAME:PASSWORD. curl's short option is known to many. */
static bool is_login(const char *name, size_t size) {
        return has_word(name, size, "user", false) || has_word(name, size, "login", false) ||
               (size == strlen("-u") && memcmp(name, "-u", size) == 0);
}

/* Copies up to the next of these characters, and returns what stands there. */
static const char *add_until(struct text *text, const char *string, const char *end) {
        size_t size = strcspn(string, end);

        text_add_bytes(text, string, size);
        return string + size;
}

/* The pairs of a query or fragment: the names stay. "?x" may be a token, "#fetch" is whose endpoint it is. */
static const char *add_masked_pairs(struct text *text, const char *pairs) {
        while (*pairs == '?' || *pairs == '#' || *pairs == '&') {
                size_t name = 1 + strcspn(pairs + 1, "=&#" URL_END);
                size_t all = 1 + strcspn(pairs + 1, "&#" URL_END);

                if (pairs[name] == '=')
                        text_add_bytes(text, pairs, name + 1);
                else
                        text_add_bytes(text, pairs, *pairs == '#' ? all : 1);
                if (pairs[name] == '=' || *pairs != '#')
                        text_add(text, MASK);
                pairs += all;
        }
        return pairs;
}

/* What follows the "://" of a URL: user, password and the values of the query are masked. Returns its end. */
static const char *add_masked_url(struct text *text, const char *url) {
        const char *at = memrchr(url, '@', strcspn(url, "/?#" URL_END));

        if (at) {
                text_add(text, MASK);
                url = at;
        }
        url = add_until(text, url, "?#," URL_END);
        return add_masked_pairs(text, url);
}

/* "root:hunter2@tcp(db)/x" is no URL, and has a password; "git@host:path" has none. Its '@', or NULL. */
static const char *end_of_login(const char *string) {
        const char *colon = string + strcspn(string, ":@/=" URL_END);
        const char *at = *colon == ':' ? memrchr(colon, '@', strcspn(colon, URL_END)) : NULL;

        return at && at > colon + 1 ? at : NULL;
}

/* The credentials behind "Bearer " or "Basic " within so many bytes, as HTTP writes them; or NULL. */
static const char *find_credentials(const char *string, size_t size) {
        static const char *const schemes[] = { "bearer", "basic" };

        for (size_t at = 0; at < size; at++)
                for (size_t i = 0; i < ELEMENTSOF(schemes); i++) {
                        const char *end;
                        size_t blanks;

                        if ((at > 0 && ascii_is_alphanumeric(string[at - 1])) ||
                            !ascii_equal_any_case(string + at, schemes[i], strlen(schemes[i])))
                                continue;
                        end = string + at + strlen(schemes[i]);
                        blanks = strspn(end, " \t");
                        if (blanks > 0 && end[blanks])
                                return end + blanks;
                }
        return NULL;
}

/* "--user=bob:hunter2": what is behind the colon; "--user=bob" and a URL have none. */
static const char *find_password(const char *string, size_t size) {
        const char *value = string + size + 1, *colon;

        if (string[size] != '=' || !is_login(string, size))
                return NULL;
        colon = strchr(value, ':');
        return colon && strncmp(colon, "://", 3) != 0 ? colon + 1 : NULL;
}

void text_add_masked(struct text *text, const char *string) {
        for (;;) {
                size_t size = strcspn(string, "=:");
                bool url = strncmp(string + size, "://", 3) == 0;
                const char *at = url ? NULL : end_of_login(string);
                const char *credentials = find_credentials(string, size), *password;

                if (credentials) {
                        text_add_bytes(text, string, (size_t) (credentials - string));
                        text_add(text, MASK);
                        /* "bearer token: VALUE" */
                        if (string[size] && !url && mask_is_confidential(string, size))
                                return;
                        string = credentials + strcspn(credentials, URL_END);
                        continue;
                }
                if (!string[size])
                        break;
                password = find_password(string, size);
                if (password) {
                        text_add_bytes(text, string, (size_t) (password - string));
                        text_add(text, MASK);
                        return;
                }
                if (!url && mask_is_confidential(string, size)) {
                        text_add_bytes(text, string, size + 1);
                        text_add(text, MASK);
                        return;
                }
                if (at) {
                        text_add(text, MASK);
                        string = at;
                } else {
                        text_add_bytes(text, string, size + (url ? 3 : 1));
                        string += size + (url ? 3 : 1);
                        if (url)
                                string = add_masked_url(text, string);
                }
        }
        text_add(text, string);
}
