"""What a child of the guarded process can reach of the supervisor: nothing that opens anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kernellab.wire import EVIL, LISTED, Wire

pytestmark = pytest.mark.usefixtures("kernel_layer")

INSTALL = f"import egressguard; egressguard.install(('{LISTED}:80',)); egressguard.install_kernel()"
# A filter begins with the architecture, and ours has the secret among its constants.
FILTERS = """
import ctypes, os, struct, sys
{before}
ARCHITECTURE = {{"x86_64": 0xC000003E, "aarch64": 0xC00000B7}}[os.uname().machine]
PATTERNS = [struct.pack("=HBBI", 0x20, 0, 0, 4) + struct.pack("=H", 0x15), struct.pack("=I", ARCHITECTURE)]

def filters():
    found = 0
    with open("/proc/self/mem", "rb", 0) as memory:
        for line in open("/proc/self/maps"):
            words = line.split()
            start, end = (int(word, 16) for word in words[0].split("-"))
            if "w" not in words[1] or words[-1] in ("[vvar]", "[vsyscall]"): continue
            memory.seek(start)
            try: data = memory.read(end - start)
            except OSError: continue
            at = data.find(PATTERNS[0])
            while at >= 0:
                found += data[at + 12:at + 16] == PATTERNS[1]
                at = data.find(PATTERNS[0], at + 1)
    return found

PATTERNS[0] = bytes(PATTERNS[0])
known = filters()  # of the patterns themselves
reader, writer = os.pipe()
if os.fork() == 0:
    before = filters()
    made = ctypes.create_string_buffer(PATTERNS[0] + b"xx" + PATTERNS[1])
    os.write(writer, b"%d %d" % (before, filters() - before))
    os._exit(0)
print(os.read(reader, 99).decode())
"""


@pytest.mark.parametrize("before", ["", INSTALL])
def test_a_forked_child_has_no_copy_of_the_filter(before: str) -> None:
    """Who has it has the secret by which the supervisor's calls are told from others'."""
    done = subprocess.run(
        [sys.executable, "-c", FILTERS.format(before=before)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "0 1\n", done  # and the search finds one that is there


DESCRIPTORS = """
import json, os
{before}
opened = []
own = {{os.readlink(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{{fd}}")}}
for tid in os.listdir("/proc/self/task"):
    folder = f"/proc/self/task/{{tid}}/fd"
    for fd in os.listdir(folder):
        try: link = os.readlink(f"{{folder}}/{{fd}}")
        except OSError: continue
        if "seccomp" in link: opened.append("the listener is seen")
        for flags in (os.O_WRONLY, os.O_RDWR):
            try: os.close(os.open(f"{{folder}}/{{fd}}", flags | os.O_NONBLOCK))
            except OSError: continue
            if link not in own and link not in ("/dev/null", "anon_inode:[pidfd]"): opened.append(link)
print(json.dumps(opened))
"""


@pytest.mark.parametrize("denied", [None, "memory", "docker"])
def test_no_descriptor_of_the_supervisor_can_be_opened_again(wire: Wire, programs: Path, denied: str | None) -> None:
    """A pipe could, by its name in /proc, and the supervisor would read what others wrote."""
    around = [] if denied is None else [str(programs / "deny"), denied]
    done = wire.run([*around, sys.executable, "-c", DESCRIPTORS.format(before=INSTALL)])
    assert json.loads(done.stdout) == ["the listener is seen"], done


POLICY = f"""
import ctypes, errno, json, os, socket
{{before}}
libc = ctypes.CDLL(None, use_errno=True)
def dial(host):
    s = libc.socket(2, 1, 0)
    result = libc.connect(s, bytes([2, 0]) + (80).to_bytes(2, "big") + socket.inet_aton(host) + bytes(8), 16)
    return errno.errorcode[ctypes.get_errno()] if result else "through"
if os.fork() == 0:  # wipe whatever it shares with its parent
    for line in open("/proc/self/maps"):
        if " rw-s " in line:
            start, end = (int(word, 16) for word in line.split()[0].split("-"))
            ctypes.memset(start, 0, end - start)
    os._exit(0)
os.wait()
print(json.dumps([dial("{LISTED}"), dial("{EVIL}")]))
"""


def test_what_a_child_shares_is_not_the_policy(wire: Wire) -> None:
    command = [sys.executable, "-c"]
    assert json.loads(wire.run([*command, POLICY.format(before="")]).stdout) == ["through", "through"]
    assert [event["to"] for event in wire.events() if event["kind"] == "tcp"] == [LISTED, EVIL]
    assert json.loads(wire.run([*command, POLICY.format(before=INSTALL)]).stdout) == ["through", "EACCES"]
    assert [event["to"] for event in wire.events() if event["kind"] == "tcp"] == [LISTED]


FAILS = """
import os, egressguard
egressguard.install(())
ends = os.pipe()
os.set_blocking(ends[0], False)
while True:
    last = os.dup(ends[1])
    if last > 12: break
def size(): return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
def fail():
    try: egressguard.install_kernel()
    except egressguard.KernelLayerUnavailable as error: return str(error)
why = fail()
before = size()
for _ in range(20): assert fail() == why
try: print(os.read(ends[0], 99))
except BlockingIOError: print("nothing written")
print(size() - before < 1000, len(os.listdir("/proc/self/task")))
"""


def test_an_install_kernel_that_fails_leaves_nothing_behind() -> None:
    """Not in memory, no thread, and nothing in descriptors of the program's."""
    outer = [sys.executable, "-m", "egressguard.cli", "run", "--"]
    done = subprocess.run(
        [*outer, sys.executable, "-c", FAILS], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "nothing written\nTrue 1\n", done
