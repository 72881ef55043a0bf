"""Runs a program in a terminal of its own: terminal.py COLUMNS PROGRAM ARGUMENT...

What comes on stdin is typed, what the terminal shows goes to stdout, and the end of stdin hangs up. Ends
as the program does.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios


def main() -> int:
    columns, *command = sys.argv[1:]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(columns), 0, 0))
    pass_on(terminal)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def pass_on(terminal: int) -> None:
    """Returns when the program has closed the terminal, or stdin has ended."""
    while True:
        readable, _, _ = select.select([terminal, 0], [], [])
        if 0 in readable:
            typed = os.read(0, 65536)
            if not typed:
                return
            os.write(terminal, typed)
        if terminal in readable:
            try:
                shown = os.read(terminal, 65536)
            except OSError:
                return
            os.write(1, shown)


sys.exit(main())
