# SPDX-License-Identifier: Apache-2.0
"""The sandbox in force: each line of the unit, as systemd has understood it and as a program inside
finds it; and that the service needs nothing which it forbids."""

import json
import os
import re
import subprocess

from case import UNIT, MachineCase, boot, main
from cluster import Authority, KubernetesStandin
from machine import USER

# An address of this network that is not of loopback's (RFC 5737): another host, for IPAddressDeny=.
ELSEWHERE = "192.0.2.9"
WAIT = "mcp-optimizer-wait.service"

# Of the lines that are no yes or no: what `systemctl show` has of them.
UNDERSTOOD = {
    "CapabilityBoundingSet": ("CapabilityBoundingSet", "^$"),
    "ProtectSystem": ("ProtectSystem", "^strict$"),
    "DevicePolicy": ("DevicePolicy", "^closed$"),
    "ProtectProc": ("ProtectProc", "^invisible$"),
    "ProcSubset": ("ProcSubset", "^pid$"),
    "RestrictNamespaces": ("RestrictNamespaces", "^yes$"),
    "RestrictAddressFamilies": ("RestrictAddressFamilies", "^AF_INET6 AF_INET AF_UNIX$|^(AF_(UNIX|INET6?) ?){3}$"),
    "SocketBindDeny": ("SocketBindDeny", "^(any)?$"),
    "SystemCallArchitectures": ("SystemCallArchitectures", "^native$"),
    "SystemCallFilter": ("SystemCallFilter", r"^(?!.*\b(mount|reboot|setuid|bpf|sched_setscheduler)\b).*\bread\b"),
    "SystemCallErrorNumber": ("SystemCallErrorNumber", "^(1|EPERM)$"),
    "MemoryHigh": ("MemoryHigh", f"^{96 << 20}$"), "MemoryMax": ("MemoryMax", f"^{128 << 20}$"),
    "TasksMax": ("TasksMax", "^64$"),
    "Type": ("Type", "^notify$"), "Restart": ("Restart", "^on-failure$"), "RestartSec": ("RestartUSec", "^10s$"),
    "RestartPreventExitStatus": ("RestartPreventExitStatus", "^78$"), "WatchdogSec": ("WatchdogUSec", "^1min$"),
    "TimeoutStopSec": ("TimeoutStopUSec", "^5s$"), "StartLimitIntervalSec": ("StartLimitIntervalUSec", "^0$"),
    "RuntimeDirectory": ("RuntimeDirectory", "^mcp-optimizer$"),
    "StateDirectory": ("StateDirectory", "^mcp-optimizer$"), "StateDirectoryMode": ("StateDirectoryMode", "^0700$"),
    "ExecStart": ("ExecStart", "path=/usr/bin/mcp-optimizer"), "ExecReload": ("ExecReload", "kill -HUP"),
}

# What a program inside may not do, each a piece of Perl that is true where it works. The first column is the
# line of the unit that forbids it (several may). Clock, kernel's log, modules, tunables and devices are closed to
# the whole machine by nspawn, so that nothing can be told of them here.
PROBES = r"""
use strict;
sub status { open(my $f, '<', '/proc/self/status'); return (map { /^$_[0]:\s*(\S+)/ } <$f>)[0] }
my %probes = (
        'ProtectSystem /usr'        => sub { open(my $f, '>', '/usr/bin/probe') },
        'ProtectSystem /etc'        => sub { open(my $f, '>', '/etc/probe') },
        'ProtectSystem /var'        => sub { open(my $f, '>', '/var/log/probe') },
        'ProtectHome'               => sub { opendir(my $d, '/home/alice') },
        'ProtectHome /root'         => sub { opendir(my $d, '/root') },
        'PrivateDevices'            => sub { -e '/dev/console' },
        'PrivateTmp'                => sub { -e '/tmp/outside' },
        'ProtectProc'               => sub { -e '/proc/1' },
        'ProcSubset'                => sub { -e '/proc/meminfo' },
        'ProtectControlGroups'      => sub { mkdir '/sys/fs/cgroup/probe' },
        'DynamicUser'               => sub { $> == 0 },
        'PrivateUsers'              => sub { (stat '/home')[4] == 0 && (stat '/var/log/journal')[5] != 65534 },
        'CapabilityBoundingSet'     => sub { status('CapBnd') =~ /[1-9a-f]/ },
        'NoNewPrivileges'           => sub { status('NoNewPrivs') eq '0' },
        'RestrictAddressFamilies netlink' => sub { socket(my $s, 16, 3, 0) },
        'RestrictAddressFamilies packet'  => sub { socket(my $s, 17, 3, 0) },
        'RestrictNamespaces'        => sub { syscall(272, 0x10000000) == 0 },                 # unshare, of users
        'MemoryDenyWriteExecute'    => sub { syscall(9, 0, 4096, 7, 0x22, -1, 0) != -1 },      # mmap, rwx
        'LockPersonality'           => sub { syscall(135, 8) != -1 },                          # personality, linux32
        'RestrictRealtime'          => sub { my $p = pack('i', 1); syscall(144, 0, 1, $p) == 0 },
        'RestrictSUIDSGID'          => sub { my $f = "$ENV{RUNTIME_DIRECTORY}/x";
                                             open(my $h, '>', $f); chmod 04755, $f },
        'ProtectHostname'           => sub { my $n = 'probe'; syscall(170, $n, 5) == 0 },
        'SystemCallFilter @privileged' => sub { my @m = ('tmpfs', '/mnt'); syscall(165, @m, $m[0], 0, 0) == 0 },
        'SystemCallFilter'          => sub { syscall(101, 0, 0, 0, 0) == 0 },                  # ptrace, of itself
        'SystemCallFilter @resources' => sub { syscall(141, 0, 0, 5) == 0 },                   # setpriority
);
$| = 1;
for my $name (sort keys %probes) {
        # Some change the process that they are tried in.
        next if fork;
        my $works = eval { $probes{$name}->() };
        print "$name: ", $works ? 'works' : "refused ($!)", "\n";
        exit;
}
1 while wait > 0;
"""


def setUpModule():
    subprocess.run(["ip", "address", "add", f"{ELSEWHERE}/32", "dev", "lo"], check=True)
    boot()


def lines_of(text):
    return re.findall(r"^([A-Z]\w+)=(.*)$", text.partition("\n[Service]\n")[2].partition("\n[Install]\n")[0], re.M)


class Sandbox(MachineCase):
    def test_exposure(self):
        self.assertLessEqual(self.exposure(UNIT), 1.1)
        self.assertLessEqual(self.exposure(WAIT), 0.6)
        self.example("loopback-only.conf")
        self.read_units()
        self.assertLessEqual(self.exposure(UNIT), 0.9)

    def exposure(self, unit):
        text = self.machine.run("systemd-analyze", "security", "--no-pager", unit)
        return float(re.search(rf"Overall exposure level for {unit}: ([\d.]+)", text)[1])

    def test_each_line_is_understood(self):
        lines = lines_of(self.machine.systemctl("cat", UNIT)) + [("StartLimitIntervalSec", "0")]
        self.assertGreater(len(lines), 40)
        for key, value in lines:
            with self.subTest(key):
                name, pattern = UNDERSTOOD.get(key, (key, "^yes$"))
                if key not in UNDERSTOOD:
                    self.assertEqual(value, "yes", "say above what systemctl shows of it")
                self.assertRegex(self.value(name), pattern)
        said = [entry["MESSAGE"] for entry in self.machine.journal("_PID=1") if "mcp-optimizer" in entry["MESSAGE"]]
        self.assertFalse([text for text in said if re.search("Unknown|ignoring|Failed to parse", text)])

    def probe(self, text):
        """What each probe finds, run with what the text has the unit be."""
        self.machine.write("/usr/local/bin/probe", PROBES)
        self.machine.run("touch", "/tmp/outside")
        self.machine.write("/etc/systemd/system/probe.service", text)
        self.machine.systemctl("daemon-reload")
        self.machine.systemctl("start", "probe")
        return dict(entry["MESSAGE"].split(": ") for entry in self.machine.journal(
            self.since, "--unit=probe", "SYSLOG_IDENTIFIER=perl"))

    def test_each_line_is_in_force(self):
        """The unit itself with another program; and a bare one, where all of that works."""
        unit = self.machine.systemctl("cat", UNIT)
        unit = re.sub(r"^Exec.*\n|^WatchdogSec.*\n|^Restart\w*=.*\n", "", unit, flags=re.M)
        unit = unit.replace("Type=notify", "Type=oneshot\nExecStart=/usr/bin/perl /usr/local/bin/probe")
        inside = self.probe(unit.replace("Directory=mcp-optimizer", "Directory=probe"))
        self.begin_log()
        outside = self.probe("[Service]\nType=oneshot\nRuntimeDirectory=probe\n"
                             "ExecStart=/usr/bin/perl /usr/local/bin/probe\n")
        names = re.findall(r"'([^']+)' +=> sub", PROBES)
        self.assertEqual(outside, dict.fromkeys(names, "works"))
        self.assertEqual(sorted(inside), sorted(names))
        self.assertEqual({name: found for name, found in inside.items() if found == "works"}, {})


def certificate(machine, name, trusted):
    """One that vouches for itself, and its key; trusted: one of the system's authorities."""
    pair = [machine.path(f"/root/{kind}.pem") for kind in ("certificate", "key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-out", pair[0], "-keyout", pair[1], "-subj", "/CN=localhost", "-addext",
                    f"subjectAltName={name}"], check=True, stderr=subprocess.DEVNULL)
    machine.write("/etc/ssl/certs/ca-certificates.crt", pair[0].read_text() if trusted else "")
    return tuple(pair)


class Tls(MachineCase):
    """That one is taken which is trusted and has the right name: test_over_tls() below."""

    def assert_refused(self, name, trusted):
        standin = self.standin(tls=certificate(self.machine, name, trusted))
        self.start(toolhive_api_url="https://localhost:50001", toolhive_initial_backoff=0.1)
        self.wait_message('ToolHive connection failed attempt=3 max_retries=100 error="TLS: ')
        self.assertFalse([text for text in self.messages() if text.startswith("Connected")])
        self.assertEqual(standin.requests(), [], "not even a plain one")

    def test_a_certificate_that_nobody_vouches_for(self):
        self.assert_refused("DNS:localhost", False)

    def test_a_certificate_of_another_name(self):
        self.assert_refused("DNS:toolhive.example.org", True)


class Loopback(MachineCase):
    """loopback-only.conf."""

    def reaches(self, *properties):
        """Whether a process with these properties of a unit connects to the other host; what is dropped hangs."""
        return self.machine.done("systemd-run", "--quiet", "--wait", *(f"--property={word}" for word in properties),
                                 "timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{ELSEWHERE}/50001").returncode == 0

    def test_another_host_is_out_of_reach(self):
        self.standin(host=ELSEWHERE)
        self.assertTrue(self.reaches())
        if self.reaches("IPAddressDeny=any"):
            self.assertNotIn("MCP_OPTIMIZER_SYSTEM_REQUIRED", os.environ)
            self.skipTest("this kernel does not filter by cgroup, and systemd goes on without")
        self.start(toolhive_host=ELSEWHERE)
        self.connected()
        self.machine.systemctl("stop", UNIT)
        self.example("loopback-only.conf")
        self.start(toolhive_timeout=1)
        self.wait_message("error=")
        self.assertFalse([text for text in self.messages() if text.startswith("Connected to ToolHive endpoint=")][1:])

    def test_this_one_is_not(self):
        self.standin()
        self.example("loopback-only.conf")
        self.start()
        self.connected()


class StateFile(MachineCase):
    def test_any_user_reads_it_while_the_service_runs(self):
        self.standin()
        self.start()
        self.connected()

        def as_user(*command):
            return self.machine.done(*self.machine.as_user(*command))
        document = json.loads(as_user("cat", "/run/mcp-optimizer/state.json").stdout)
        self.assertEqual(document["connection"]["state"], "connected")
        self.assertEqual(as_user("mcp-optimizer", "status").returncode, 0)
        self.assertEqual(as_user("mcp-optimizer", "status", "--alive").returncode, 0)
        self.assertEqual(as_user("mcp-optimizer", "wait", "--timeout=0").returncode, 0)
        self.assertIn("workload-00004", as_user("mcp-optimizer", "list").stdout)
        # And no more than that.
        self.assertNotEqual(as_user("touch", "/run/mcp-optimizer/another").returncode, 0)
        self.assertNotEqual(as_user("sh", "-c", "echo >/run/mcp-optimizer/state.json").returncode, 0)
        self.assertNotEqual(as_user("cat", "/var/lib/mcp-optimizer/state.json").returncode, 0)
        self.machine.systemctl("stop", UNIT)
        self.assertEqual(as_user("ls", "/run/mcp-optimizer").returncode, 2)
        self.assertEqual(as_user("mcp-optimizer", "status").returncode, 3)


class NothingIsRefused(MachineCase):
    """With the filter as shipped, but a call that it refuses kills instead of failing: whatever the
    service does, it does without one."""

    STRICT = "[Service]\nSystemCallErrorNumber=kill\nRestart=no\n"

    def setUp(self):
        super().setUp()
        self.drop_in(self.STRICT)

    def assert_unharmed(self, code="0"):
        if code == "0":
            self.machine.systemctl("stop", UNIT)
        self.wait_show(ExecMainCode="1", ExecMainStatus=code, NRestarts="0")
        said = [entry["MESSAGE"] for entry in self.machine.journal(self.since, f"--unit={UNIT}")]
        self.assertFalse([text for text in said if "status=31/SYS" in text])

    def test_it_would_kill(self):
        """The test must be able to fail."""
        self.drop_in("[Service]\nType=oneshot\nExecStart=\n"
                     "ExecStart=perl -e 'my ($$k, $$d) = (\"tmpfs\", \"/mnt\"); syscall(165, $$k, $$d, $$k, 0, 0)'\n")
        self.read_units()
        self.machine.done("systemctl", "start", UNIT)
        self.wait_show(ExecMainCode="2", ExecMainStatus="31")

    def test_found_moved_reloaded(self):
        standin = self.standin()
        self.start(workload_polling_interval=0.2, log_level="DEBUG")
        self.connected()
        standin.move(50002)
        self.wait_status("Connected to ToolHive .* on port 50002: .*")
        self.timed("reload")
        self.wait_message("Reload requested")
        self.wait_show(SubState="running")
        self.assert_unharmed()

    def test_given_up(self):
        self.start(toolhive_max_retries=2, toolhive_initial_backoff=0.1)
        self.wait_message("exiting")
        self.assert_unharmed("1")

    def test_a_bad_setting(self):
        self.settings(toolhive_port=80)
        self.read_units()
        self.machine.done("systemctl", "start", UNIT)
        self.assert_unharmed("78")

    def test_the_unit_that_waits(self):
        self.drop_in(self.STRICT, WAIT)
        self.standin()
        self.assertLess(self.timed("start", WAIT), 5.0)
        self.assertEqual(self.machine.show("ActiveState", "ExecMainStatus", unit=WAIT),
                         {"ActiveState": "active", "ExecMainStatus": "0"})

    def test_by_name(self):
        """The C library's resolver, in a thread of libcurl's; the first name is nowhere to be found."""
        self.machine.write("/etc/hosts", "127.0.0.1 localhost toolhive.example.org\n")
        self.standin()
        self.start(toolhive_host="nowhere.example.org", toolhive_max_backoff=1)
        self.wait_message("ToolHive connection failed attempt=2 ", 20.0)
        self.assert_unharmed()
        self.start(toolhive_host="toolhive.example.org")
        self.connected()
        self.assert_unharmed()

    def test_over_tls(self):
        self.standin(tls=certificate(self.machine, "DNS:localhost", trusted=True))
        self.start(toolhive_api_url="https://localhost:50001")
        self.wait_status("Connected to ToolHive .*", 10.0)
        self.assert_unharmed()

    def test_in_a_cluster(self):
        """Token and authority as files, TLS, a watch."""
        cluster = self._stack.enter_context(KubernetesStandin(3, tls=True, port=50001, tokens={"first": "optimizer"}))
        self.machine.write("/etc/mcp-optimizer/token", "first")
        self.machine.write("/etc/mcp-optimizer/ca.crt", Authority.common().certificate.read_text())
        self.start(runtime_mode="k8s", k8s_api_server_url=cluster.url, k8s_token_file="/etc/mcp-optimizer/token",
                   k8s_ca_file="/etc/mcp-optimizer/ca.crt")
        self.wait_status("Connected to Kubernetes API .*: 3 workloads .*")
        cluster.objects(add=["tools/fetch"])
        self.wait_status("Connected to Kubernetes API .*: 4 workloads .*")
        self.timed("reload")
        self.wait_message("Reload requested")
        cluster.stop_listening()
        cluster.kubernetes(end_watches=True)
        self.wait_message("Kubernetes API connection failed attempt=1 ")
        cluster.start_listening()
        self.wait_message("Kubernetes API connection restored")
        self.assert_unharmed()

    def test_on_a_unix_socket(self):
        """unix-socket.conf, prepared as its comment says."""
        self.machine.run("sh", "-c", f"""getent group toolhive || groupadd --system toolhive
            echo 'd /run/toolhive 2750 {USER} toolhive' > /etc/tmpfiles.d/toolhive.conf
            systemd-tmpfiles --create toolhive.conf""")
        path = self.machine.inside("/run/toolhive/thv.sock")
        self.standin(port=0, socket=path)
        path.chmod(0o660)
        self.example("unix-socket.conf")
        self.start()
        self.connected()
        self.assert_unharmed()

    def test_with_metrics(self):
        """metrics-file.conf, prepared as its comment says."""
        folder = "/var/lib/prometheus/node-exporter"
        self.machine.run("sh", "-c", f"""mkdir -p {folder}; getent group mcp-metrics || groupadd --system mcp-metrics
            chgrp mcp-metrics {folder}; chmod 2775 {folder}""")
        self.example("metrics-file.conf")
        self.standin()
        self.start()
        self.connected()
        self.assertIn("\nmcp_optimizer_up 1\n", self.machine.run("cat", f"{folder}/mcp-optimizer.prom"))
        self.assert_unharmed()
        self.assertIn("\nmcp_optimizer_up 0\n", self.machine.run("cat", f"{folder}/mcp-optimizer.prom"))


if __name__ == "__main__":
    main()
