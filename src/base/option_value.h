/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The syntax of values, one function for each kind, strict and independent of
 * the locale: strtod(3) would take "0x1p3", " 1" and "nan", and in a German
 * locale "1,5" for "1.5". What is returned in a pointer belongs to the caller.
 */

#include "base/util.h"

/* The value is not accepted. */
enum { VALUE_BAD = 1 };

/* Digits, at most max. 0 or VALUE_BAD. */
int value_parse_count(const char *value, uint64_t max, uint64_t *ret_count);

/*
 * Digits with at most one point among, before or behind them; in millionths, so
 * that seconds become microseconds. A seventh decimal is refused rather than
 * rounded: what is stored is what was written. 0 or VALUE_BAD.
 */
int value_parse_decimal(const char *value, uint64_t max, uint64_t *ret_millionths);

/*
 * A host name in lower case, or an address literal, IPv6 with or without
 * brackets and always returned without. 0, VALUE_BAD or -ENOMEM.
 */
int value_parse_host(const char *value, char **ret_host);

/* What is an endpoint: see url_parse_endpoint(). */
bool value_is_api_url(const char *value);

/* http:// or https://, HOST[:PORT], then nothing or a path; no user, query or fragment. */
bool value_is_http_url(const char *value);

/* The name of a Kubernetes namespace: a label of RFC 1123 in lower case. */
bool value_is_namespace(const char *value);

/*
 * What ToolHive takes as the name of a workload: up to 100 letters, digits, dots,
 * hyphens and underscores, not beginning with two dots; nor is it ".".
 */
#define VALUE_WORKLOAD_NAME_MAX 100
bool value_is_workload_name(const char *value);

/*
 * What the name of a server's setting may hold, an environment variable or a
 * header, so that it needs no quotes anywhere: letters, digits, "_", "-" and ".".
 */
#define VALUE_SETTING_NAME_MAX 253
bool value_is_setting_name(const char *name, size_t size);

/* A path that can name a file. */
bool value_is_path(const char *value);

/*
 * Names between commas, spaces around them left out; none of them empty or with
 * a character that is never shown. The list is one allocation, its end a NULL.
 * 0, VALUE_BAD or -ENOMEM.
 */
int value_parse_list(const char *value, char ***ret_list);
