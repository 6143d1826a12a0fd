"""The embedded Redis: its data folder, how it is started, when it is ready."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from pc_pipeline.embedded.process import Account, Child


@dataclass(frozen=True)
class Redis:
    """Redis over the data folder `data`, logging to `log`; `inherit` are open files its processes keep."""

    program: Path
    data: Path
    log: Path
    password: str
    account: Account | None
    inherit: tuple[int, ...]
    name: str = "Redis"
    stop_patience_s: float = 20.0

    def url(self, port: int) -> str:
        return f"redis://:{self.password}@127.0.0.1:{port}/0"

    def prepare(self) -> None:
        """Make the data folder where there is none."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        if self.account:
            os.chown(self.data, self.account.uid, self.account.gid)

    def launch(self, port: int) -> Child:
        # On stdin, so that no argument shows the password. Files stand in the working folder.
        config = (
            f"bind 127.0.0.1\nport {port}\nrequirepass {self.password}\n"
            'appendonly yes\nappendfsync everysec\nsave ""\nloglevel notice\n'
        )
        return Child(
            [str(self.program), "-"],
            log=self.log,
            cwd=self.data,
            account=self.account,
            inherit=self.inherit,
            stdin=config.encode(),
        )

    def is_ready(self, port: int) -> bool:
        """Whether the server answers, its data loaded."""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False
