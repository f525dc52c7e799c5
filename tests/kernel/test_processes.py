"""What a process does with itself: after each of it the guard still refuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

ATTACK = """
import ctypes, errno, os, socket, struct, sys
def attack(ip="127.0.0.1", port=None):
    libc = ctypes.CDLL(None, use_errno=True)
    address = struct.pack("=H", 2) + struct.pack("!H", port or PORT) + socket.inet_aton(ip) + bytes(8)
    s = socket.socket()
    return "through" if libc.connect(s.fileno(), address, 16) == 0 else errno.errorcode[ctypes.get_errno()]
"""
MAIN = """
import os, socket, sys, threading, time
import egressguard
{attack}
listener = socket.create_server(("127.0.0.1", 0), backlog=100)
PORT = listener.getsockname()[1]
assert attack() == "through"
take = egressguard._egressguard._set_test_loopback
if __name__ == "__main__":
    egressguard.install(("10.9.9.9:443",))
    egressguard.install_kernel()
    {body}
"""
CHILD = "import sys; PORT = int(sys.argv[1])\n" + ATTACK + "\nprint(attack(), flush=True)\n"


def run(body: str, expected_status: int = 0) -> str:
    """Run the body in a process with the layer in force and return what it printed."""
    code = MAIN.format(attack=ATTACK, body="\n    ".join(body.strip().splitlines()))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env={"CHILD": CHILD}
    )
    assert done.returncode == expected_status, done
    return done.stdout


pytestmark = pytest.mark.usefixtures("kernel_layer")
REFUSED = ("EACCES\n", "ENOSYS\n")


def test_thread_started_before_and_after() -> None:
    assert (
        run("""
t = threading.Thread(target=lambda: print(attack())); t.start(); t.join()
print(attack())
""")
        == "EACCES\nEACCES\n"
    )


def test_forked_child_and_its_child() -> None:
    assert (
        run("""
if os.fork() == 0:
    print(attack(), flush=True)
    if os.fork() == 0:
        print(attack(), flush=True)
        os._exit(0)
    os.wait(); os._exit(0)
os.wait()
""")
        == "EACCES\nEACCES\n"
    )


def test_vfork_spawn_and_subprocess() -> None:
    assert (
        run("""
import subprocess
command = [sys.executable, "-c", os.environ["CHILD"], str(PORT)]
subprocess.run(command)
os.waitpid(os.posix_spawn(command[0], command, os.environ), 0)
subprocess.run(command, preexec_fn=lambda: None)
subprocess.run(command, close_fds=False, start_new_session=True)
""")
        == "EACCES\n" * 4
    )


MULTIPROCESSING = """
import multiprocessing
import sys
{attack}
def work(port):
    global PORT
    PORT = port
    return attack()
if __name__ == "__main__":
    import egressguard
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    PORT = listener.getsockname()[1]
    assert attack() == "through"
    egressguard.install(("10.9.9.9:443",))
    egressguard.install_kernel()
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        print(pool.apply(work, (PORT,)))
    with context.Manager() as manager:
        print(list(manager.list([1, 2])))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, tmp_path: object) -> None:
    script = f"{tmp_path}/main.py"
    with open(script, "w") as file:
        file.write(MULTIPROCESSING.format(attack=ATTACK))
    done = subprocess.run([sys.executable, script, method], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "EACCES\n[1, 2]\n", done


def test_closerange() -> None:
    assert (
        run("""
os.closerange(3, 4096)
print(attack())
""")
        == "EACCES\n"
    )


def test_execv_of_the_process_itself() -> None:
    """The supervisor ends with the old image: from then on there is no dialling at all."""
    assert (
        run("""
os.execv(sys.executable, [sys.executable, "-c", os.environ["CHILD"], str(PORT)])
""")
        in REFUSED
    )


def test_daemon_left_behind() -> None:
    """It outlives the supervisor: ENOSYS, within a second and not only after a wait."""
    output = run("""
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(w)
        os.read(r, 1)
        time.sleep(0.3)
        started = time.monotonic()
        print(attack(), time.monotonic() - started < 1, flush=True)
        os._exit(0)
    os._exit(0)
os.wait()
sys.stdout.flush()
os._exit(0)
""")
    assert output == "ENOSYS True\n"


def test_exit_of_threads_and_of_the_main_thread() -> None:
    assert (
        run("""
import ctypes
def later():
    time.sleep(0.3)
    print(attack(), flush=True)
    os._exit(0)
threading.Thread(target=later).start()
ctypes.CDLL(None).pthread_exit(None)
""")
        == "EACCES\n"
    )


def test_finalization() -> None:
    assert (
        run("""
import atexit
atexit.register(lambda: print(attack()))
""")
        == "EACCES\n"
    )


def test_capability_opens_loopback_in_its_own_thread_only() -> None:
    assert (
        run("""
import subprocess
take(True)
print(attack())
print(attack("127.0.0.2"))
t = threading.Thread(target=lambda: print(attack())); t.start(); t.join()
sys.stdout.flush()
subprocess.run([sys.executable, "-c", os.environ["CHILD"], str(PORT)])
if os.fork() == 0:
    print(attack(), flush=True)
    os._exit(0)
os.wait()
take(False)
print(attack())
""")
        == "through\nEACCES\nEACCES\nEACCES\nEACCES\nEACCES\n"
    )


def test_ended_thread_leaves_its_flag_to_nobody() -> None:
    """Thread ids are soon used again; none of 300 later threads may dial."""
    assert (
        run("""
def flagged():
    take(True)
    assert attack() == "through"
t = threading.Thread(target=flagged); t.start(); t.join()
seen = set()
for _ in range(300):
    t = threading.Thread(target=lambda: seen.add(attack())); t.start(); t.join()
print(seen)
""")
        == "{'EACCES'}\n"
    )


def test_listener_is_in_no_descriptor_table_of_the_process() -> None:
    assert (
        run("""
links = []
for name in os.listdir("/proc/self/fd"):
    try: links.append(os.readlink("/proc/self/fd/" + name))
    except OSError: pass
print([link for link in links if "seccomp" in link])
""")
        == "[]\n"
    )


def test_notifier_of_ones_own_is_refused() -> None:
    """A child that killed its supervisor must not become one."""
    assert (
        run("""
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
print(libc.syscall(number, 1, 8, None), errno.errorcode[ctypes.get_errno()])
print(libc.syscall(number, 1, 0, None), errno.errorcode[ctypes.get_errno()])
""")
        == "-1 EPERM\n-1 EFAULT\n"
    )


def test_unix_sockets() -> None:
    """One's own listeners and a pair work; a listener of another program does not."""
    assert (
        run("""
import tempfile
folder = tempfile.mkdtemp(); os.chdir(folder)
def native(path):
    import ctypes, errno
    libc = ctypes.CDLL(None, use_errno=True)
    address = struct.pack("=H", 1) + path
    s = socket.socket(socket.AF_UNIX)
    return "through" if libc.connect(s.fileno(), address, len(address)) == 0 else errno.errorcode[ctypes.get_errno()]
own = socket.socket(socket.AF_UNIX); own.bind(folder + "/own"); own.listen(9)
abstract = socket.socket(socket.AF_UNIX); abstract.bind("\\0eg-test-" + str(os.getpid())); abstract.listen(9)
print(native((folder + "/own").encode()), native(b"own"), native(b"\\0eg-test-" + str(os.getpid()).encode()))
print(native(b"/run/nscd/socket-that-is-not"))
a, b = socket.socketpair()
r, w = os.pipe()
socket.send_fds(a, [b"x"], [w])
os.write(socket.recv_fds(b, 9, 1)[1][0], b"passed"); print(os.read(r, 9).decode())
os.unlink("own"); os.rmdir(folder)
""")
        == "through through through\nENOENT\npassed\n"
    )
