"""The real servers of outside: how nginx and dnsmasq are configured and started."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from labtools.addresses import DNSMASQ, DNSMASQ6, HOSTS, POINTERS, SYNTHETIC, UNLISTED, UNLISTED6, UNLISTED_DOMAINS
from labtools.backend import WEBSOCKET_PORT

SYSTEM_PATH = os.defpath + ":/usr/local/sbin:/usr/sbin:/sbin"

# A message as the API of Anthropic answers it, as far as the SDK reads it.
MESSAGE = (
    '{"id":"msg_lab","type":"message","role":"assistant","model":"lab","content":[{"type":"text","text":"hello from '
    'outside"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}'
)

NGINX = """
daemon off; master_process off; user root; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; default_type text/plain;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 80 backlog=4096; listen [::]:80 backlog=4096;
        listen 8080; listen [::]:8080; listen 8443 ssl; listen [::]:8443 ssl;
        listen 443 ssl backlog=4096; listen [::]:443 ssl backlog=4096;
        ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
        location / {{ return 200 "hello from outside"; }}
        location = /v1/messages {{ default_type application/json; return 200 '{message}'; }}
        location = /ws {{
            proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_set_header Host $host;
        }}
    }}
}}
"""


def find(program: str) -> str | None:
    """Return the path of a program, also where the PATH of a user leaves out the system's folders."""
    return shutil.which(program) or shutil.which(program, path=SYSTEM_PATH)


def start(program: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
    """Start a server that ends with this process."""
    path = find(program)
    if path is None:
        raise FileNotFoundError(program)
    with log.open("ab") as output:
        command = ["setpriv", "--pdeathsig", "KILL", path, *arguments]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def start_nginx(folder: Path) -> subprocess.Popen[bytes]:
    """Start nginx for every address of outside: TLS on 443 and 8443, plain on 80 and 8080."""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, message=MESSAGE, port=WEBSOCKET_PORT))
    log = folder / "nginx-error.log"
    return start("nginx", "-c", str(configuration), "-e", str(log), log=log)


def start_dnsmasq(folder: Path) -> subprocess.Popen[bytes]:
    """Start dnsmasq: fixed answers for the names of the laboratory, and one address for whatever is unlisted."""
    lines = [
        "no-daemon",  # nor does it change its user: root of a user namespace could not
        "no-resolv", "no-hosts", "no-poll", "local=/#/", "bind-interfaces", f"listen-address={DNSMASQ},{DNSMASQ6}",
        *(f"address=/{domain}/{address}" for domain in UNLISTED_DOMAINS for address in (UNLISTED, UNLISTED6)),
        f"synth-domain={SYNTHETIC[0]},{SYNTHETIC[1]},ip-",
        *(f"host-record={name},{','.join(addresses)}" for name, addresses in HOSTS.items()),
        *(f"ptr-record={pointer},{name}" for pointer, name in POINTERS.items()),
    ]  # fmt: skip
    configuration = folder / "dnsmasq.conf"
    configuration.write_text("\n".join(lines) + "\n")
    return start("dnsmasq", f"--conf-file={configuration}", log=folder / "dnsmasq.log")


def wait_for_port(address: str, port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server accepts connections."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} does not answer on {address} port {port}: {error}") from error
            time.sleep(0.02)
