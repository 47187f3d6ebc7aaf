/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Hosts, URLs, endpoints, and the other values that have a grammar of their own.
 * A spelling is read back as what it spells, and libcurl takes for an address what
 * is one here, with the same host and port: no URL means two places.
 */

#include <arpa/inet.h>
#include <curl/curl.h>
#include <string.h>

#include "base/ascii.h"
#include "base/option_value.h"
#include "fuzz.h"
#include "source/endpoint.h"
#include "source/scan.h"

static void check_host(const char *text) {
        char host[HOST_MAX], again[HOST_MAX];

        if (host_parse(text, host) < 0)
                return;
        must(*host && strlen(host) < HOST_MAX);
        must(host_parse(host, again) == 0 && strcmp(host, again) == 0);
        for (const char *c = host; *c; c++)
                must(ascii_is_digit(*c) || ascii_is_lower(*c) || strchr(".-_:", *c));
        must(host_is_loopback(host) == host_is_loopback(text));
}

/* libcurl has its brackets and a spelling of its own. */
static bool is_same_address(const char *host, const char *ours, size_t size) {
        _cleanup_(freep) char *theirs = strndup(host + 1, strlen(host) - 2), *address = strndup(ours, size);
        struct in6_addr a, b;

        return theirs && address && inet_pton(AF_INET6, theirs, &a) == 1 && inet_pton(AF_INET6, address, &b) == 1 &&
               memcmp(&a, &b, sizeof a) == 0;
}

/* What libcurl makes of it. */
static void check_libcurl(const char *text, const struct url *url) {
        CURLU *parts = curl_url();
        char *host = NULL, *port = NULL, *zone = NULL, *user = NULL;
        size_t before_zone = strcspn(url->host, "%");

        must(parts);
        must(curl_url_set(parts, CURLUPART_URL, text, CURLU_PATH_AS_IS) == CURLUE_OK);
        must(curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK);
        must(curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK);
        must(curl_url_get(parts, CURLUPART_USER, &user, 0) != CURLUE_OK);

        if (host[0] == '[')
                must(is_same_address(host, url->host, before_zone));
        else
                must(ascii_equal_any_case(host, url->host, SIZE_MAX));
        must(strtoul(port, NULL, 10) == url->port);
        if (curl_url_get(parts, CURLUPART_ZONEID, &zone, 0) == CURLUE_OK)
                must(strcmp(zone, url->host + before_zone + 1) == 0);
        else
                must(!url->host[before_zone]);

        curl_free(host);
        curl_free(port);
        curl_free(zone);
        curl_free(user);
        curl_url_cleanup(parts);
}

static void check_endpoint(const char *text) {
        char spelling[ENDPOINT_URL_MAX], again[ENDPOINT_URL_MAX], host[HOST_MAX], buffer[512];
        struct http_request request = {};
        struct endpoint endpoint;
        struct url url, other;

        must(value_is_api_url(text) == (url_parse_endpoint(text, &url, spelling) == 0));
        if (url_parse_endpoint(text, &url, spelling) < 0)
                return;
        must(url_parse_endpoint(spelling, &other, again) == 0 && strcmp(spelling, again) == 0);
        must(url.scheme == other.scheme && url.port == other.port && strcmp(url.host, other.host) == 0);

        must(endpoint_parse(&endpoint, text) == 0 && strcmp(endpoint.url, spelling) == 0);
        must(endpoint.port == url.port && (endpoint.socket[0] != '\0') == (url.scheme == URL_UNIX));
        endpoint_host(&endpoint, host);
        must(strcmp(host, url.host) == 0);
        must(endpoint_is_loopback(&endpoint) == (url.scheme == URL_UNIX || host_is_loopback(url.host)));

        endpoint_address_request(&endpoint, "/health", &request, buffer, sizeof buffer);
        must(strlen(request.url) >= strlen("http://a:1/health"));
        must(strcmp(request.url + strlen(request.url) - strlen("/health"), "/health") == 0);
        must((request.unix_socket != NULL) == (url.scheme == URL_UNIX));
        if (url.scheme != URL_UNIX)
                check_libcurl(request.url, &url);
}

static void check_url(const char *text) {
        struct url url;

        if (url_parse(text, &url) < 0)
                return;
        must(url.path >= text && url.path <= text + strlen(text));
        if (url.scheme == URL_UNIX) {
                must(!*url.host && url.port == 0 && url.path[0] == '/' && strlen(url.path) < SOCKET_PATH_MAX);
                return;
        }
        must(*url.host && url.port > 0 && (!*url.path || *url.path == '/'));
        if (value_is_http_url(text))
                check_libcurl(text, &url);
}

static void check_numbers(const char *text) {
        _cleanup_text_ struct text again = TEXT_INIT;
        uint64_t count, millionths, other;

        if (value_parse_count(text, UINT64_MAX, &count) == 0) {
                must(count == strtoull(text, NULL, 10));
                must(count == 0 || value_parse_count(text, count - 1, &other) == VALUE_BAD);
        }
        if (value_parse_decimal(text, UINT64_MAX, &millionths) != 0)
                return;
        text_addf(&again, "%llu.%06llu", (unsigned long long) millionths / 1000000,
                  (unsigned long long) millionths % 1000000);
        must(value_parse_decimal(again.data, millionths, &other) == 0 && other == millionths);
}

static void check_list(const char *text) {
        _cleanup_(freep) char **list = NULL, **again = NULL;
        _cleanup_text_ struct text joined = TEXT_INIT;
        size_t n;

        if (value_parse_list(text, &list) != 0)
                return;
        for (n = 0; list[n]; n++) {
                must(is_harmless(list[n], strlen(list[n]), ONE_LINE) && *list[n] && !strchr(list[n], ','));
                text_addf(&joined, "%s%s", n > 0 ? "," : "", list[n]);
        }
        must(n > 0 && value_parse_list(joined.data, &again) == 0);
        for (size_t i = 0; i <= n; i++)
                must(list[i] ? again[i] && strcmp(list[i], again[i]) == 0 : !again[i]);
}

static void check_address(const char *text) {
        union scan_address address, other;

        if (scan_address_parse(text, &address) < 0)
                return;
        must(address.any.sa_family == AF_INET || address.any.sa_family == AF_INET6);
        scan_address_set_port(&address, 8080);
        must(scan_address_parse(text, &other) == 0);
        scan_address_set_port(&other, 8080);
        must(scan_address_equal(&address, &other));
        scan_address_set_port(&other, 8081);
        must(!scan_address_equal(&address, &other));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = strndup((const char *) data, size);

        must(text);
        check_host(text);
        check_url(text);
        check_endpoint(text);
        check_numbers(text);
        check_list(text);
        check_address(text);
        must(!value_is_workload_name(text) || (!value_is_setting_name(text, 0) && strlen(text) <= 100));
        must(!value_is_namespace(text) || value_is_setting_name(text, strlen(text)));
        return 0;
}
