"""Becomes a child's command after tying its life to the parent's: `launch.py PARENT_PID CORES NICE -- COMMAND...`.

Run by path with nothing but the standard library. A thread-safe place for what a fork hook could not do safely.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Set the death signal, the cores and the priority, then exec. CORES is "" or "1,2", NICE "" or a number."""
    parent, cores, nice, separator, *command = arguments
    if separator != "--" or not command:
        sys.exit("launch: nothing to start")
    # SIGKILL: an orphan must not go on trading for as long as its graceful end would take.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit("launch: this system has no PR_SET_PDEATHSIG")
    if os.getppid() != int(parent):
        sys.exit("launch: the parent is gone")  # it died before the signal was set
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    if nice:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, int(nice))
        except PermissionError:
            sys.exit(f"launch: worker_nice {nice} is not permitted here; it needs CAP_SYS_NICE, or take 0 and above")
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        sys.exit(f"launch: {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
