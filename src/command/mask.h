/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is confidential in a string that may hold anything, and is shown none the less. */

#include "base/text.h"

#define MASK "********"

/* Whether what an option, a variable or a header of this name carries is confidential. */
bool mask_is_confidential(const char *name, size_t size);

/*
 * Appends the string. Masked is what follows a confidential name to the end:
 * --token=VALUE, API_KEY=VALUE, "Authorization: VALUE", {"secret": …}, and the
 * password in --user=NAME:PASSWORD; elsewhere the word behind "Bearer" or "Basic",
 * and what is confidential in URLs: user, password, values of the query.
 */
void text_add_masked(struct text *text, const char *string);
