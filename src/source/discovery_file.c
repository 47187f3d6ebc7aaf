/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading the discovery file
 *
 * Whoever can write the file can send the service to an address of his choice. So it is opened
 * without following a link, judged by what the descriptor shows rather than by its name, and
 * believed only when it is this user's or root's and nobody else may write it. What it says is
 * then only a hint: it has to name this machine, and the search demands the proof by nonce.
 *
 * The nonce is kept as it is in the file and never logged.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "source/discovery_file.h"

#define BELOW_STATE_HOME "toolhive/server/server.json"

static const char *absolute_from_environment(const char *variable) {
        const char *value = getenv(variable);

        return value && value[0] == '/' ? value : NULL;
}

int discovery_path(const struct settings *settings, char **ret_path) {
        const char *state_home, *home;
        char *path = NULL;
        int r = 0;

        if (settings->discovery_file && strcmp(settings->discovery_file, "auto") != 0) {
                path = strdup(settings->discovery_file);
                r = path ? 0 : -1;
        } else if (settings->discovery_file && host_is_loopback(settings->toolhive_host)) {
                /* The XDG base directory specification: a relative path is to be ignored. */
                state_home = absolute_from_environment("XDG_STATE_HOME");
                home = absolute_from_environment("HOME");
                if (state_home)
                        r = asprintf(&path, "%s/" BELOW_STATE_HOME, state_home);
                else if (home)
                        r = asprintf(&path, "%s/.local/state/" BELOW_STATE_HOME, home);
        }
        if (r < 0)
                return -ENOMEM;

        *ret_path = path;
        return 0;
}

static int distrust(const char *reason, const char **ret_reason) {
        *ret_reason = reason;
        return DISCOVERY_DISTRUSTED;
}

/* Judges the open file: 0, or DISCOVERY_DISTRUSTED. */
static int judge_file(int fd, const char **ret_reason) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return distrust("it is no regular file", ret_reason);
        if (st.st_uid != geteuid() && st.st_uid != 0)
                return distrust("it belongs to another user", ret_reason);
        if (st.st_mode & (S_IWGRP | S_IWOTH))
                return distrust("others may write it", ret_reason);
        return 0;
}

/* Reads all of it: 0, DISCOVERY_DISTRUSTED, or a negative errno. */
static int read_all(int fd, char **ret_text, size_t *ret_size, const char **ret_reason) {
        _cleanup_(freep) char *text = malloc(DISCOVERY_FILE_MAX + 1);
        ssize_t size;

        if (!text)
                return -ENOMEM;

        /* By reading, not by st_size: the file may grow while we read it. */
        size = file_read_some(fd, text, DISCOVERY_FILE_MAX);
        if (size < 0)
                return (int) size;
        if (size == DISCOVERY_FILE_MAX)
                return distrust("it is too large", ret_reason);

        text[size] = '\0';
        *ret_text = STEAL(text);
        *ret_size = (size_t) size;
        return 0;
}

static int parse_text(const char *text, size_t size, struct discovery *ret_discovery,
                      const char **ret_reason) {
        _cleanup_(json_object_putp) struct json_object *object = NULL;
        struct discovery discovery = {};
        const char *url, *nonce, *problem;
        struct json_slice value;
        int r;

        if (json_scan(text, size, &value, &problem) != 0 || json_type_of(value) != '{')
                return distrust("it holds no JSON object", ret_reason);
        r = json_parse(value, &object, &problem);
        if (r < 0)
                return r;
        if (r > 0)
                return distrust("it holds no proper JSON object", ret_reason);

        if (json_get_string(object, "url", &url) != 0 ||
            endpoint_parse(&discovery.endpoint, url) < 0)
                return distrust("it names no address", ret_reason);
        if (!endpoint_is_loopback(&discovery.endpoint))
                return distrust("it names another machine", ret_reason);
        if (json_get_string(object, "nonce", &nonce) != 0 ||
            !json_is_clean_name(nonce, NONCE_MAX - 1))
                return distrust("it holds no nonce", ret_reason);

        snprintf(discovery.nonce, sizeof discovery.nonce, "%s", nonce);
        *ret_discovery = discovery;
        return 0;
}

int discovery_read(const char *path, struct discovery *ret_discovery, const char **ret_reason) {
        _cleanup_(freep) char *text = NULL;
        _cleanup_(closep) int fd = -1;
        size_t size = 0;
        int r;

        /* O_NONBLOCK: opening a FIFO that somebody put there would block for ever. */
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 && errno == ELOOP)
                return distrust("it is a symbolic link", ret_reason);
        if (fd < 0 && errno == ENXIO)
                return distrust("it is no regular file", ret_reason);
        if (fd < 0)
                return -errno;

        r = judge_file(fd, ret_reason);
        if (r != 0)
                return r;
        r = read_all(fd, &text, &size, ret_reason);
        if (r != 0)
                return r;
        return parse_text(text, size, ret_discovery, ret_reason);
}
