/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One workload's details, for people. It is asked for as a list of all objects of
 * that name, in each resource: so the account needs no right beside that to list,
 * and a name without its namespace is found wherever it is, once or several times.
 *
 * What is told has the shape of ToolHive's details, with what is Kubernetes' own
 * beside it (namespace, status, message), so that whoever shows them need not know
 * which of the two was asked. Values of variables are not taken over at all.
 */

#include <errno.h>
#include <string.h>

#include "source/kubernetes_call.h"

struct finding {
        struct json_object *document;   /* of the first */
        struct text names;              /* of all: "a/x, b/x" */
        size_t n;
};

static void finding_done(struct finding *finding) {
        json_object_put(finding->document);
        text_done(&finding->names);
}

/* ---- the document ---- */

static const char *string_in(struct json_object *object, const char *key) {
        const char *string;

        return object && json_get_string(object, key, &string) == 0 && *string ? string : NULL;
}

static void add_string(struct json_object *document, const char *key, const char *string) {
        if (string)
                (void) json_object_object_add(document, key, json_object_new_string(string));
}

/* The number under the newer name, or the older one. */
static void add_port(struct json_object *document, const char *key, struct json_object *spec, const char *newer,
                     const char *older) {
        int64_t port;

        if (json_get_int(spec, newer, 1, UINT16_MAX, &port) == 0 || json_get_int(spec, older, 1, UINT16_MAX, &port) == 0)
                (void) json_object_object_add(document, key, json_object_new_int64(port));
}

static struct json_object *list_in(struct json_object *object, const char *key) {
        struct json_object *list = NULL;

        (void) json_object_object_get_ex(object, key, &list);
        return json_object_is_type(list, json_type_array) ? list : NULL;
}

/* [{"name": "X", "value": …}] as {"X": ""}. */
static void add_variables(struct json_object *document, struct json_object *spec) {
        struct json_object *list = list_in(spec, "env"), *variables;

        if (!list)
                return;
        variables = json_object_new_object();
        for (size_t i = 0; variables && i < json_object_array_length(list); i++) {
                struct json_object *variable = json_object_array_get_idx(list, i);

                if (json_object_is_type(variable, json_type_object))
                        add_string(variables, string_in(variable, "name") ?: "", "");
        }
        (void) json_object_object_add(document, "env_vars", variables);
}

/* [{"name": …, "key": "k", "targetEnvName": "X"}] as [{"target": "X"}]. */
static void add_secrets(struct json_object *document, struct json_object *spec) {
        struct json_object *list = list_in(spec, "secrets"), *secrets;

        if (!list)
                return;
        secrets = json_object_new_array();
        for (size_t i = 0; secrets && i < json_object_array_length(list); i++) {
                struct json_object *from = json_object_array_get_idx(list, i), *secret;

                if (!json_object_is_type(from, json_type_object))
                        continue;
                secret = json_object_new_object();
                if (!secret)
                        continue;
                add_string(secret, "target", string_in(from, "targetEnvName") ?: string_in(from, "key"));
                (void) json_object_array_add(secrets, secret);
        }
        (void) json_object_object_add(document, "secrets", secrets);
}

static void add_spec(struct json_object *document, struct json_object *spec) {
        struct json_object *profile, *arguments = list_in(spec, "args");

        add_string(document, "proxy_mode", string_in(spec, "proxyMode"));
        add_string(document, "url", string_in(spec, "remoteUrl") ?: string_in(spec, "remoteURL"));
        add_port(document, "proxy_port", spec, "proxyPort", "port");
        add_port(document, "target_port", spec, "mcpPort", "targetPort");
        if (arguments)
                (void) json_object_object_add(document, "cmd_arguments", json_object_get(arguments));
        add_variables(document, spec);
        add_secrets(document, spec);
        if (json_get_object(spec, "permissionProfile", &profile) == 0) {
                struct json_object *copy = json_object_new_object();

                if (copy) {
                        add_string(copy, "name", string_in(profile, "name"));
                        (void) json_object_object_add(document, "permission_profile", copy);
                }
        }
}

static int make_document(enum resource resource, const struct workload *workload, struct json_object *object,
                         struct json_object **ret_document) {
        _cleanup_(json_object_putp) struct json_object *document = json_object_new_object();
        struct json_object *spec, *status = NULL;

        if (!document)
                return -ENOMEM;
        add_string(document, "name", workload->name);
        add_string(document, "namespace", workload->namespace);
        add_string(document, "resource", resource_plural(resource));
        add_string(document, "status", workload->status);
        add_string(document, "proxy_url", workload->url);
        add_string(document, "transport", workload->transport);
        add_string(document, "group", workload->group);
        if (resource == RESOURCE_SERVER)
                add_string(document, "image", workload->package);
        if (json_get_object(object, "spec", &spec) == 0)
                add_spec(document, spec);
        if (json_get_object(object, "status", &status) == 0)
                add_string(document, "message", string_in(status, "message"));
        *ret_document = STEAL(document);
        return 0;
}

/* ---- asking ---- */

/* A list that begins anew has all that it had before. */
static void begin_finding(void *user) {
        struct finding *finding = user;

        finding_done(finding);
        *finding = (struct finding) {};
}

static int take_finding(enum resource resource, struct json_slice item, void *user) {
        _cleanup_(json_object_putp) struct json_object *object = NULL;
        struct finding *finding = user;
        struct resource_object parsed;
        const char *problem;
        int r;

        r = resource_parse(resource, item, &parsed, &problem);
        if (r != 0)
                return r < 0 ? r : 0;
        if (finding->n++ == 0) {
                r = json_parse(item, &object, &problem);
                if (r == 0)
                        r = make_document(resource, parsed.workload, object, &finding->document);
        } else
                text_add(&finding->names, ", ");
        workload_format_name(&finding->names, parsed.workload);
        workload_free(parsed.workload);
        return r < 0 ? r : 0;
}

/* No object has these in its name, and a selector would read more than a name in it. */
static bool is_selective(const char *name) {
        return name[strcspn(name, ",=\\")];
}

/* "&fieldSelector=metadata.name=NAME,metadata.namespace=NAMESPACE", escaped. */
static int make_query(const char *name, struct text *query) {
        char part[CALL_NAME_MAX + 1], escaped[3 * CALL_NAME_MAX + 1];
        const char *slash = strchr(name, '/');

        snprintf(part, sizeof part, "%s", slash ? slash + 1 : name);
        (void) url_escape(part, escaped);
        text_addf(query, "&fieldSelector=metadata.name%%3D%s", escaped);
        if (slash) {
                snprintf(part, sizeof part, "%.*s", (int) (slash - name), name);
                (void) url_escape(part, escaped);
                text_addf(query, "%%2Cmetadata.namespace%%3D%s", escaped);
        }
        return text_error(query);
}

/* What one resource has is added to what those before it have. */
static int add_finding(struct finding *all, struct finding *one) {
        if (one->n == 0)
                return 0;
        if (text_error(&one->names) < 0)
                return text_error(&one->names);
        if (all->n == 0)
                all->document = STEAL(one->document);
        else
                text_add(&all->names, ", ");
        text_add(&all->names, one->names.data);
        all->n += one->n;
        return 0;
}

/* In all resources; *ret_refusal is what was refused meanwhile, VERDICT_DONE for nothing. */
static int find_all(struct kubernetes *kubernetes, const char *query, struct finding *finding,
                    struct outcome *ret_refusal, struct outcome *outcome) {
        *ret_refusal = (struct outcome) { .verdict = VERDICT_DONE };
        for (size_t i = 0; i < RESOURCES; i++) {
                _cleanup_(finding_done) struct finding one = {};
                struct listing listing = { .begin = begin_finding, .take = take_finding, .user = &one, .query = query };
                enum answer answer;
                int r;

                r = kubernetes_list_one(kubernetes, &kubernetes->listed[i], &listing, &answer, outcome);
                if (r < 0 || answer == ANSWER_FAILED)
                        return r;
                if (answer == ANSWER_EXPECTED)
                        r = add_finding(finding, &one);
                if (r < 0)
                        return r;
                if ((answer == ANSWER_OTHER || answer == ANSWER_GONE) && ret_refusal->verdict == VERDICT_DONE)
                        *ret_refusal = *outcome;
        }
        *outcome = (struct outcome) { .verdict = VERDICT_DONE, .status = 200, .retry_after = USEC_INFINITY };
        return 0;
}

int kubernetes_details(struct kubernetes *kubernetes, struct call *call, struct outcome *outcome) {
        _cleanup_(finding_done) struct finding finding = {};
        _cleanup_text_ struct text query = TEXT_INIT;
        struct outcome refusal;
        int r;

        if (is_selective(call->name)) {
                *outcome = (struct outcome) { .verdict = VERDICT_DONE, .status = 200, .retry_after = USEC_INFINITY };
                return 0;
        }
        r = make_query(call->name, &query);
        if (r < 0)
                return r;
        r = find_all(kubernetes, query.data, &finding, &refusal, outcome);
        if (r < 0 || outcome->verdict != VERDICT_DONE)
                return r;
        r = text_error(&finding.names);
        if (r < 0)
                return r;

        call->found = finding.n == 1 && finding.document;
        if (call->found)
                call->document = STEAL(finding.document);
        else if (finding.n > 1)
                call->several = STEAL(finding.names.data);
        else if (finding.n == 1)
                kubernetes_unusable(outcome, "an object too large");
        else if (refusal.verdict != VERDICT_DONE)
                *outcome = refusal;     /* it may be there, where we may not look */
        return 0;
}
