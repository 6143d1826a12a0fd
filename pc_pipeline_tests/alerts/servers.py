"""Real servers on this machine that take messages: of HTTP (a webhook, Slack) and of SMTP."""

import json
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class Taken:
    """What a server was given, and how it answers.

    Attributes:
        answer: HTTP status, or for Slack the word of its error; SMTP: the code for the message.
        address: `host:port`.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer: Any = 200
        self.address = ""

    @property
    def bodies(self) -> list[Any]:
        return [request["body"] for request in self.requests]


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def http_server(answer: Callable[[Taken], tuple[int, bytes]]) -> Iterator[Taken]:
    taken = Taken()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            kind = self.headers["Content-Type"]
            form = {name: values[0] for name, values in parse_qs(text).items()}
            body = json.loads(text) if "json" in kind else form
            taken.requests.append({"path": self.path, "headers": dict(self.headers), "body": body})
            status, said = answer(taken)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken.address = f"127.0.0.1:{server.server_port}"
        with _serving(server):
            yield taken


@contextmanager
def webhook_server() -> Iterator[Taken]:
    with http_server(lambda taken: (taken.answer, b"{}")) as taken:
        yield taken


@contextmanager
def slack_server() -> Iterator[Taken]:
    """As https://slack.com/api/ answers: 200 always, and `ok` or a word for what is wrong."""

    def answer(taken: Taken) -> tuple[int, bytes]:
        fine = taken.answer == 200
        return 200, json.dumps({"ok": True} if fine else {"ok": False, "error": taken.answer}).encode()

    with http_server(answer) as taken:
        yield taken


@contextmanager
def smtp_server(certificate: Any = None, password: str | None = None) -> Iterator[Taken]:
    """A mail server; with a `certificate` (an SSLContext) it offers STARTTLS, with a `password` it wants a login."""
    import base64

    taken = Taken()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            secure, inside, login = False, password is None, ""
            mail: dict[str, Any] = {"to": []}
            self.say("220 here")
            while line := self.rfile.readline().decode().strip():
                verb = line.upper()
                if verb.startswith("EHLO"):
                    offers = ["250-here"]
                    offers += ["250-STARTTLS"] if certificate and not secure else []
                    offers += ["250-AUTH PLAIN"] if password else []
                    self.say("\r\n".join([*offers, "250 8BITMIME"]))
                elif verb == "STARTTLS":
                    self.say("220 go on")
                    try:
                        self.connection = certificate.wrap_socket(self.connection, server_side=True)
                    except ssl.SSLError:
                        return
                    self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                    secure = True
                elif verb.startswith("AUTH PLAIN"):
                    login = base64.b64decode(line.split()[2]).decode()
                    inside = login.endswith(f"\0{password}")
                    self.say("235 welcome" if inside else "535 no")
                elif verb.startswith("MAIL") and not inside:
                    self.say("530 login first")
                elif verb.startswith("MAIL"):
                    mail["from"] = line[10:]
                    self.say("250 fine")
                elif verb.startswith("RCPT"):
                    mail["to"].append(line[8:])
                    self.say("250 fine")
                elif verb == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                        lines.append(text.removeprefix("."))
                    if taken.answer == 200:
                        taken.requests.append(mail | {"body": "\n".join(lines), "secure": secure, "login": login})
                        mail = {"to": []}
                    self.say("250 taken" if taken.answer == 200 else f"{taken.answer} no")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 fine")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        taken.address = f"127.0.0.1:{server.server_address[1]}"
        with _serving(server):
            yield taken
