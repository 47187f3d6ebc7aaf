/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The defaults that no table can hold, since they depend on where the program
 * runs: below systemd, in a user's session, in a pod.
 */

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "base/option_table.h"

/* Where a pod finds what its service account is known by. */
#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"
/* What kubectl proxy listens on. */
#define K8S_PROXY_URL "http://127.0.0.1:8001"

const char *option_environment_get(char **environment, const char *name) {
        size_t size = strlen(name);

        for (char **p = environment; *p; p++)
                if (strncmp(*p, name, size) == 0 && (*p)[size] == '=')
                        return (*p)[size + 1] ? *p + size + 1 : NULL;

        return NULL;
}

/*
 * RUNTIME_DIRECTORY is a colon-separated list where a unit has several
 * (systemd.exec(5)); a relative XDG_RUNTIME_DIR is to be ignored by the XDG Base
 * Directory Specification.
 */
static int default_state_file(char **environment, char **ret_path) {
        const char *folder = option_environment_get(environment, "RUNTIME_DIRECTORY");
        const char *name = "state.json";
        size_t size = folder ? strcspn(folder, ":") : 0;

        if (size == 0 || folder[0] != '/') {
                folder = option_environment_get(environment, "XDG_RUNTIME_DIR");
                name = "mcp-optimizer/state.json";
                size = folder ? strlen(folder) : 0;
        }

        if (size == 0 || folder[0] != '/' || size + 1 + strlen(name) >= PATH_MAX) {
                *ret_path = NULL;
                return 0;
        }

        /* what asprintf(3) leaves behind when it fails is undefined */
        char *path;
        if (asprintf(&path, "%.*s/%s", (int) size, folder, name) < 0)
                return -ENOMEM;

        *ret_path = path;
        return 0;
}

static int default_k8s_url(char **environment, char **ret_url) {
        const char *host = option_environment_get(environment, "KUBERNETES_SERVICE_HOST");
        const char *port = option_environment_get(environment, "KUBERNETES_SERVICE_PORT");
        _cleanup_(freep) char *url = NULL;

        if (host && port) {
                bool bare_ipv6 = host[0] != '[' && strchr(host, ':');

                if (asprintf(&url, "https://%s%s%s:%s", bare_ipv6 ? "[" : "", host,
                             bare_ipv6 ? "]" : "", port) < 0) {
                        url = NULL;
                        return -ENOMEM;
                }
        }

        if (!url || !value_is_http_url(url)) {
                free(url);
                url = strdup(K8S_PROXY_URL);
                if (!url)
                        return -ENOMEM;
        }

        *ret_url = STEAL(url);
        return 0;
}

/* Outside of a pod there is no service account; a file that was named has to be there, sooner or later. */
static int default_account_file(const struct configuration *configuration, enum option_index row,
                                const char *file, char **path) {
        if (configuration->origins[row] != ORIGIN_DEFAULT || access(file, F_OK) < 0)
                return 0;
        *path = strdup(file);
        return *path ? 0 : -ENOMEM;
}

int option_compute_defaults(struct configuration *configuration, char **environment) {
        struct settings *settings = &configuration->settings;
        int r;

        if (configuration->origins[OPTION_STATE_FILE] == ORIGIN_DEFAULT) {
                r = default_state_file(environment, &settings->state_file);
                if (r < 0)
                        return r;
        }

        if (configuration->origins[OPTION_K8S_API_SERVER_URL] == ORIGIN_DEFAULT) {
                r = default_k8s_url(environment, &settings->k8s_api_server_url);
                if (r < 0)
                        return r;
        }

        if (configuration->origins[OPTION_K8S_ALL_NAMESPACES] == ORIGIN_DEFAULT)
                settings->k8s_all_namespaces = !settings->k8s_namespace;

        r = default_account_file(configuration, OPTION_K8S_TOKEN_FILE, SERVICE_ACCOUNT "/token",
                                 &settings->k8s_token_file);
        return r < 0 ? r
                     : default_account_file(configuration, OPTION_K8S_CA_FILE, SERVICE_ACCOUNT "/ca.crt",
                                            &settings->k8s_ca_file);
}

int option_pod_namespace(const struct settings *settings, char **ret_namespace) {
        _cleanup_(freep) char *path = NULL, *content = NULL;
        const char *token = settings->k8s_token_file;
        const char *slash = token ? strrchr(token, '/') : NULL;
        size_t size;
        int r;

        if (!slash)
                return VALUE_BAD;

        if (asprintf(&path, "%.*s/namespace", (int) (slash - token), token) < 0) {
                path = NULL;
                return -ENOMEM;
        }

        r = file_read(path, 4096, &content, &size);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return VALUE_BAD;

        content[strcspn(content, "\n")] = '\0';
        if (!value_is_namespace(content))
                return VALUE_BAD;

        *ret_namespace = STEAL(content);
        return 0;
}
