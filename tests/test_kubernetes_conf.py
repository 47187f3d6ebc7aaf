# SPDX-License-Identifier: Apache-2.0
"""What is shipped for Kubernetes: manifests, kustomization, Containerfile, and what they say.

Read as a cluster would read it, as far as that goes without one: kinds and fields, names that must
agree, rights that are what the source asks for and no more, the Pod Security level "restricted",
settings and commands that the program itself takes. .ci/run builds the Containerfile and runs it.
"""

import json
import re
import tempfile
import unittest

try:
    import yaml
except ImportError:
    yaml = None

from manpage import SOURCE, CommandHelp, ManPage, help_commands, help_options, joined, read, run
from runner import run_tests
from test_units import SYSTEM_UNIT, assignments, waiting_time

FOLDER = SOURCE / "conf/kubernetes"
KINDS = {
    "service-account.yaml": [("v1", "ServiceAccount")],
    "cluster-role.yaml": [("rbac.authorization.k8s.io/v1", "ClusterRole"),
                          ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")],
    "role.yaml": [("rbac.authorization.k8s.io/v1", "Role"), ("rbac.authorization.k8s.io/v1", "RoleBinding")],
    "deployment.yaml": [("apps/v1", "Deployment")],
    "kustomization.yaml": [("kustomize.config.k8s.io/v1beta1", "Kustomization")],
}
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "Kustomization"}
NAME = "mcp-optimizer"
LABEL = {"app.kubernetes.io/name": NAME}
GROUP = "toolhive.stacklok.dev"
RESOURCES = {"mcpservers", "virtualmcpservers", "mcpremoteproxies"}
VERBS = {"list", "watch"}
# Variables that are no settings of the program, but of who starts it.
STARTERS_VARIABLES = {"RUNTIME_DIRECTORY"}


def load(text):
    """The documents of a text; a key that is there twice is a fault, which YAML's reader would let pass."""
    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader, node):
        keys = [loader.construct_object(key) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, f"a key twice among {keys}", node.start_mark)
        return loader.construct_mapping(node, deep=True)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    return list(yaml.load_all(text, Strict))


def documents(name):
    return load((FOLDER / name).read_text(encoding="utf-8"))


def document(kind):
    name = next(name for name, kinds in KINDS.items() if kind in [own for _, own in kinds])
    return next(found for found in documents(name) if found["kind"] == kind)


def pod():
    return document("Deployment")["spec"]["template"]["spec"]


def container():
    (only,) = pod()["containers"]
    return only


def environment():
    return {entry["name"]: entry["value"] for entry in container()["env"]}


def comments(name):
    """The text of a file's comments as one line of prose."""
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return joined(" ".join(line.strip().lstrip("# ") for line in lines if line.strip().startswith("#")))


def uncommented(name, *, first, last):
    """A file's text with the lines from the one that holds `first` to that with `last` taken out of comments."""
    lines, inside = [], False
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        inside = inside or (first in line and line.lstrip().startswith("# "))
        lines.append(re.sub(r"^( *)# ", r"\1", line) if inside else line)
        inside = inside and last not in line
    return "\n".join(lines)


def texts_of(*patterns):
    """All that stands between quotes in those files."""
    code = "\n".join(path.read_text(encoding="utf-8") for pattern in patterns for path in SOURCE.glob(pattern))
    return "\n".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', code))


def violations(spec):
    """What the Pod Security level "restricted" has against a pod, after its published table."""
    found = []

    def rule(name, holds):
        if not holds:
            found.append(name)
    ours = spec.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        rule(name, not spec.get(name))
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
               "secret"}
    for volume in spec.get("volumes", []):
        rule("volumes", set(volume) - {"name"} <= allowed)
    rule("sysctls", not ours.get("sysctls"))
    for each in spec["containers"] + spec.get("initContainers", []):
        own = {**ours, **each.get("securityContext", {})}
        capabilities = own.get("capabilities", {})
        rule("privileged", not own.get("privileged"))
        rule("allowPrivilegeEscalation", own.get("allowPrivilegeEscalation") is False)
        rule("runAsNonRoot", own.get("runAsNonRoot") is True)
        rule("runAsUser", own.get("runAsUser") != 0)
        rule("seccompProfile", own.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"))
        rule("capabilities.drop", "ALL" in capabilities.get("drop", []))
        rule("capabilities.add", set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"})
        rule("procMount", own.get("procMount", "Default") == "Default")
        rule("hostPort", not any(port.get("hostPort") for port in each.get("ports", [])))
    return found


def bytes_of(quantity):
    number, unit = re.fullmatch(r"(\d+)(Mi?|Gi?)", quantity).groups()
    return int(number) << {"M": 20, "G": 30}[unit[0]]


needs_yaml = unittest.skipUnless(yaml, "python3-yaml is not installed")


@needs_yaml
class Manifests(unittest.TestCase):
    def test_kinds(self):
        self.assertEqual({path.name for path in FOLDER.glob("*.yaml")}, set(KINDS))
        for name, kinds in KINDS.items():
            with self.subTest(name):
                self.assertEqual([(found["apiVersion"], found["kind"]) for found in documents(name)], kinds)

    def test_names(self):
        namespace = document("Kustomization")["namespace"]
        for name in KINDS.keys() - {"kustomization.yaml"}:
            for found in documents(name):
                with self.subTest(found["kind"]):
                    told = {"name": NAME, "labels": LABEL}
                    if found["kind"] not in CLUSTER_WIDE:
                        told["namespace"] = namespace
                    self.assertEqual(found["metadata"], told)

    def test_rights(self):
        """Exactly those that the source uses."""
        for kind in ("ClusterRole", "Role"):
            with self.subTest(kind):
                (rule,) = document(kind)["rules"]
                self.assertEqual({key: set(value) for key, value in rule.items()},
                                 {"apiGroups": {GROUP}, "resources": RESOURCES, "verbs": VERBS})

    def test_rights_against_the_source(self):
        texts = texts_of("src/model/resource.[ch]", "src/source/kubernetes*.c")
        self.assertIn(GROUP, texts)
        self.assertEqual(set(re.findall(r"(?<![\w.])\w*mcp\w*s\b", texts)), RESOURCES)
        self.assertIn("watch=", texts)

    def test_bindings(self):
        account = document("ServiceAccount")["metadata"]
        for kind in ("Role", "ClusterRole"):
            with self.subTest(kind):
                binding = document(kind + "Binding")
                self.assertEqual(binding["roleRef"], {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": document(kind)["metadata"]["name"]})
                self.assertEqual(binding["subjects"], [{
                    "kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}])

    def test_a_key_twice_is_seen(self):
        """Guards the reading of all these files."""
        with self.assertRaises(yaml.constructor.ConstructorError):
            load("a: 1\nb: {c: 1, c: 2}\n")

    def test_kustomization(self):
        whole = document("Kustomization")
        self.assertEqual(whole["resources"], ["service-account.yaml", "cluster-role.yaml", "deployment.yaml"])
        self.assertEqual([f"{image['name']}:{image['newTag']}" for image in whole["images"]], [container()["image"]])

    def test_kustomization_of_one_namespace(self):
        """What is to be taken out of comments there."""
        (whole,) = load(uncommented("kustomization.yaml", first="patches:", last="value: "))
        (patch,) = whole["patches"]
        self.assertEqual(patch["target"], {"kind": "Deployment", "name": document("Deployment")["metadata"]["name"]})
        self.assertEqual(load(patch["patch"]), [[{
            "op": "add", "path": "/spec/template/spec/containers/0/env/-",
            "value": {"name": "K8S_ALL_NAMESPACES", "value": "false"}}]])


@needs_yaml
class Pod(unittest.TestCase):
    def test_deployment(self):
        spec = document("Deployment")["spec"]
        self.assertEqual(spec["replicas"], 1)
        self.assertEqual(spec["selector"]["matchLabels"], LABEL)
        self.assertEqual(spec["template"]["metadata"]["labels"], LABEL)
        # The old one stays until the new one is connected.
        self.assertEqual(spec["strategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0})

    def test_account(self):
        account = document("ServiceAccount")
        self.assertEqual(pod()["serviceAccountName"], account["metadata"]["name"])
        self.assertIs(account["automountServiceAccountToken"], False)
        self.assertIs(pod()["automountServiceAccountToken"], True)

    def test_no_variables_of_services(self):
        self.assertIs(pod()["enableServiceLinks"], False)

    def test_restricted(self):
        self.assertEqual(violations(pod()), [])
        self.assertIs(container()["securityContext"]["readOnlyRootFilesystem"], True)
        self.assertNotIn("ports", container())

    def test_each_rule_is_looked_at(self):
        """Guards the check above: it must be able to fail."""
        for name, change in {
            "hostPID": lambda spec: spec.update(hostPID=True),
            "volumes": lambda spec: spec["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
            "runAsNonRoot": lambda spec: spec["securityContext"].pop("runAsNonRoot"),
            "runAsUser": lambda spec: spec["securityContext"].update(runAsUser=0),
            "seccompProfile": lambda spec: spec["securityContext"].pop("seccompProfile"),
            "allowPrivilegeEscalation":
                lambda spec: spec["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
            "capabilities.drop": lambda spec: spec["containers"][0]["securityContext"].pop("capabilities"),
            "privileged": lambda spec: spec["containers"][0]["securityContext"].update(privileged=True),
        }.items():
            with self.subTest(name):
                spec = json.loads(json.dumps(pod()))
                change(spec)
                self.assertEqual(violations(spec), [name])

    def test_resources_are_the_units(self):
        limit = container()["resources"]["limits"]["memory"]
        self.assertEqual(bytes_of(limit), bytes_of(assignments(SYSTEM_UNIT, "MemoryMax")[0]))
        peak = re.search(r"under \d+ MiB at its peak, whatever is answered", SYSTEM_UNIT.read_text(encoding="utf-8"))[0]
        self.assertIn(peak, comments("deployment.yaml"))
        self.assertLess(bytes_of(container()["resources"]["requests"]["memory"]), bytes_of(limit))

    def test_stop_is_the_units(self):
        self.assertEqual([str(pod()["terminationGracePeriodSeconds"])], assignments(SYSTEM_UNIT, "TimeoutStopSec"))

    def test_state_file(self):
        """Where the program and the probes look, writable, and with room for two of the largest."""
        ((volume, mount),) = zip(pod()["volumes"], container()["volumeMounts"], strict=True)
        self.assertEqual(volume["name"], mount["name"])
        self.assertEqual(mount, {"name": "state", "mountPath": environment()["RUNTIME_DIRECTORY"]})
        self.assertGreaterEqual(bytes_of(volume["emptyDir"]["sizeLimit"]), 2 * 16 << 20)

    def test_probes(self):
        for name, words in (("readinessProbe", ["status"]), ("livenessProbe", ["status", "--alive"])):
            with self.subTest(name):
                probe = container()[name]
                self.assertEqual(probe["exec"]["command"], [NAME, *words])
                self.assertIn(words[0], help_commands())
                self.assertLessEqual({word[2:] for word in words[1:]}, CommandHelp(words[0]).options.keys())
                self.assertGreater(probe["periodSeconds"], probe["timeoutSeconds"])
                with tempfile.TemporaryDirectory() as folder:
                    code, _, told = run(*words, RUNTIME_DIRECTORY=folder)
                self.assertEqual(code, 3, told)
        self.assertNotIn("startupProbe", container())

    def test_when_a_hanging_worker_is_restarted(self):
        probe = container()["livenessProbe"]
        heartbeat = int(re.search(r"without progress for (\d+) s", joined(run("help", "status")[1]))[1])
        at_latest = heartbeat + probe["periodSeconds"] * probe["failureThreshold"]
        self.assertIn(f"is restarted within {at_latest // 60} minutes", comments("deployment.yaml"))

    def test_durations(self):
        self.assertIn(f"about {waiting_time({}) / 60:.0f} minutes of waiting", comments("deployment.yaml"))


@needs_yaml
class Settings(unittest.TestCase):
    def check(self, **variables):
        code, told, log = run("--check-config", **variables)
        self.assertEqual(code, 0, told + log)
        return joined(told)

    def test_are_known(self):
        known = {variable for _, variable, _ in help_options().values()}
        self.assertLessEqual(environment().keys(), known | STARTERS_VARIABLES)
        self.assertIn("K8S_ALL_NAMESPACES", known)

    def test_are_accepted(self):
        told = self.check(**environment())
        self.assertIn("--runtime-mode k8s (environment)", told)
        self.assertIn(f"{environment()['RUNTIME_DIRECTORY']}/state.json", told)

    def test_one_namespace(self):
        """The commented lines, in a pod of that namespace."""
        (whole,) = load(uncommented("deployment.yaml", first="- name: K8S_ALL_NAMESPACES", last="value: "))
        (only,) = whole["spec"]["template"]["spec"]["containers"]
        added = {entry["name"]: entry["value"] for entry in only["env"] if entry not in container()["env"]}
        self.assertEqual(added, {"K8S_ALL_NAMESPACES": "false"})
        self.check(**environment(), **added, K8S_NAMESPACE="tools")


class Containerfile(unittest.TestCase):
    def setUp(self):
        self.text = (FOLDER / "Containerfile").read_text(encoding="utf-8")
        joined_lines = re.sub(r"\\\n *", "", re.sub(r"^#.*\n", "", self.text, flags=re.M))
        self.instructions = [tuple(line.split(None, 1)) for line in joined_lines.splitlines() if line]

    def arguments(self, name):
        return [rest for instruction, rest in self.instructions if instruction == name]

    def test_packages_are_readmes(self):
        """README's less the unit tests' own, and the certificates."""
        listed = re.search(r"apt-get install -y ([^&]*) &&", read("README.md"))[1].split()
        ours = re.search(r"apt-get install -y --no-install-recommends (.*)", self.arguments("RUN")[0])[1].split()
        self.assertEqual(set(ours), set(listed) - {"check"} | {"ca-certificates"})

    def test_what_is_copied_is_there(self):
        copied = [word for rest in self.arguments("COPY") if "--from" not in rest for word in rest.split()[:-1]]
        for path in copied:
            with self.subTest(path):
                self.assertTrue((SOURCE / path).exists())
        subdirectories = set(re.findall(r"^subdir\('(\w+)'\)", read("meson.build"), re.M))
        self.assertLessEqual(subdirectories | {"meson.build", "meson_options.txt", "LICENSE"}, set(copied))

    def test_version(self):
        version = re.search(r"version : '([^']+)'", read("meson.build"))[1]
        (labels,) = self.arguments("LABEL")
        self.assertIn(f'org.opencontainers.image.version="{version}"', labels)
        self.assertIn(f"-t mcp-optimizer:{version} ", self.text)
        for name in ("README.md", "deployment.yaml"):
            self.assertEqual(set(re.findall(r"mcp-optimizer:([\d.]+)", read(FOLDER / name))), {version})

    @needs_yaml
    def test_agrees_with_the_deployment(self):
        security = pod()["securityContext"]
        self.assertEqual(self.arguments("USER"), [f"{security['runAsUser']}:{security['runAsGroup']}"])
        folder = environment()["RUNTIME_DIRECTORY"]
        self.assertEqual(self.arguments("ENV"), [f"PATH=/usr/bin RUNTIME_DIRECTORY={folder}"])
        self.assertTrue(any(rest.endswith(f" install -d -m 1777 {folder[1:]}") for rest in self.arguments("RUN")))
        self.assertEqual(self.arguments("ENTRYPOINT"), ['["/usr/bin/mcp-optimizer"]'])
        self.assertNotIn("command", container())


class Documentation(unittest.TestCase):
    def test_readme_names_each_file(self):
        named = set(re.findall(r"\]\(([^)]+)\)", (FOLDER / "README.md").read_text(encoding="utf-8")))
        self.assertEqual(named, {path.name for path in FOLDER.iterdir()} - {"README.md"})

    def test_commands(self):
        text = (FOLDER / "README.md").read_text(encoding="utf-8")
        used = set(re.findall(r"(?:-- |`)mcp-optimizer (\w+)", text))
        self.assertGreaterEqual(len(used), 2)
        self.assertLessEqual(used, set(help_commands()))
        for folder in re.findall(r"(?:-k|-f) (\S+)", text):
            self.assertTrue((SOURCE / folder).exists())

    @needs_yaml
    def test_names(self):
        text = (FOLDER / "README.md").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"-n (\S+)", text)), {document("Deployment")["metadata"]["namespace"]})
        self.assertEqual(set(re.findall(r"deployment/(\S+)", text)), {document("Deployment")["metadata"]["name"]})

    def test_denied(self):
        """The line of the log is quoted as it is, and the files are here that it says to apply."""
        texts = texts_of("src/*/*.c")
        line = "%s denies the account what it needs"
        self.assertIn(line, texts)
        for name in ("README.md", "role.yaml"):
            self.assertIn(line.replace("%s", "Kubernetes API"), joined(read(FOLDER / name).replace("\n# ", " ")))
        named = set(re.findall(r"-f ([\w.-]+\.yaml)", texts + read("README.md")))
        self.assertGreaterEqual(named, {"role.yaml", "cluster-role.yaml"})
        self.assertLessEqual(named, KINDS.keys())

    def test_installed(self):
        installed = read("conf/meson.build")
        self.assertIn("exampledir / 'kubernetes'", installed)
        self.assertIn("The files of kubernetes/ among the examples", joined(ManPage().text()))
        for path in FOLDER.iterdir():
            self.assertIn(f"'kubernetes/{path.name}'", installed)


if __name__ == "__main__":
    run_tests()
