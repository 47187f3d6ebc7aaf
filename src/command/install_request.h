/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What `install` sends: from the entry of the registry, or a URL, and what the
 * person gave, the body of POST /workloads. Nothing here asks the network.
 */

#include "base/command_line.h"
#include "base/text.h"
#include "model/registry_entry.h"

/* A setting that was given, by --env or --secret. The strings may be confidential. */
struct given_setting {
        char *key;
        char *value;                    /* NULL for a secret */
        char *secret;                   /* the name of a secret in ToolHive's store; NULL for a value */
};

struct install_request {
        char *name;                     /* of the workload: --as, or made from the entry's name */
        const struct registry_entry *entry;     /* borrowed; NULL with --url */
        struct given_setting *settings;
        size_t n_settings;
};

/*
 * Reads what was given: --as (with --url the name itself), --env, --secret. 0;
 * INSTALL_REQUEST_BAD with a sentence for the person in problem, which never
 * holds a value; -ENOMEM. install_request_done() also after a failure.
 */
enum { INSTALL_REQUEST_BAD = 1 };
int install_request_init(struct install_request *request, const struct command_line *line,
                         char **environment, struct text *problem);
/*
 * What is to be installed; names the workload after it where it has no name yet.
 * For a remote server each key has to be one of its settings. As above.
 */
int install_request_set_entry(struct install_request *request, const struct registry_entry *entry,
                              struct text *problem);
void install_request_done(struct install_request *request);

/*
 * The name by which --env and --secret give a setting: its own, or that of a
 * header as CGI would name it, X_API_KEY for X-API-Key, since a shell has no
 * other variables.
 */
void install_request_add_key(struct text *text, const struct registry_setting *setting, bool is_header);

/* The name of the header that a key stands for, borrowed from the entry; NULL: it is a variable. */
const char *install_request_header(const struct install_request *request, const char *key);
/* Whether that setting of the entry was given. */
bool install_request_is_given(const struct install_request *request,
                              const struct registry_setting *setting, bool is_header);

/*
 * Appends lines for each setting that the entry requires, that has no default
 * and was not given: its name, its description, and how to give it. Returns how many.
 */
size_t install_request_missing(const struct install_request *request, struct text *text);

/* Appends the body of the request. It may be confidential. 0 or -ENOMEM. */
int install_request_body(const struct install_request *request, const struct command_line *line,
                         struct text *text);

/*
 * Appends words of ToolHive's without the values that were given, should it repeat
 * them; only that they are not shown, where it could do so in a form that is not known.
 */
void install_request_add_words(const struct install_request *request, const char *words,
                               struct text *text);

#define _cleanup_install_request_ _cleanup_(install_request_done)
