"""Becomes a container's program: the last steps on the host and the first ones inside.

    python -I -S enter.py RECORD REPORT_FD [PIDFD] < plan.json

Run as a program of its own, by path: it leaves the host, so it needs nothing but the standard
library. It takes the steps of the plan (root.py) in a mount namespace of its own, or enters the
namespaces of the process behind PIDFD, gives up its rights and executes the program under the same
process id. An ordinary user gets a user namespace too, in which it is mapped to the wanted user.
What goes wrong is said in one line, on standard error and REPORT_FD, and the exit code is 128.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import sys
from typing import Any, Final

_CLONE_NEWNS, _CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
_MS_REC_BIND, _MS_REC_PRIVATE, _MS_NOSUID_NODEV = 0x5000, 0x44000, 0x6
_MNT_DETACH: Final = 2
_ATTR_READ_ONLY, _ATTR_NOSUID = 1, 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_SETATTR: Final = 442  # has no name in the C library; the same number on all machines
_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 23, 24, 38
_CAPABILITY_VERSION_3: Final = 0x2008_0522
_CAPABILITIES: Final = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
    "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
    "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
)  # fmt: skip
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class _Failure(Exception):
    """A step that was refused, as one line."""


def _check(result: int, what: str) -> None:
    if result < 0:
        raise _Failure(f"{what}: {os.strerror(ctypes.get_errno())}")


def _record(path: str) -> None:
    """Say who this is before anything else: what kills the node agent leaves this behind."""
    with open("/proc/self/stat") as stat:
        ticks = stat.read().rpartition(")")[2].split()[19]
    with open(f"{path}.new", "w") as stream:
        stream.write(f"{os.getpid()} {ticks}")
    os.replace(f"{path}.new", path)


def _leave_host(user: dict[str, Any]) -> None:
    real_user, real_group = os.geteuid(), os.getegid()
    new_user = 0 if real_user == 0 else _CLONE_NEWUSER
    what = "this machine allows no mount namespace" + (" to an ordinary user" if new_user else "")
    _check(_LIBC.unshare(_CLONE_NEWNS | new_user), what)
    if new_user:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user['uid']} {real_user} 1"),
            ("gid_map", f"{user['gid']} {real_group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as stream:
                stream.write(text)
    _check(_LIBC.mount(None, b"/", None, _MS_REC_PRIVATE, None), "cannot leave the host's mounts")


def _tmpfs(path: str, options: str) -> None:
    made = _LIBC.mount(b"tmpfs", path.encode(), b"tmpfs", _MS_NOSUID_NODEV, options.encode())
    _check(made, f"cannot mount a tmpfs at {path}")


def _restrict(path: str, attributes: int, flags: int) -> None:
    """Set attributes of the mount, which a recursive bind alone does not."""
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    done = _LIBC.syscall(_MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, wanted, size)
    _check(done, f"cannot make {path} read-only")


def _make_target(root: str, target: str, is_folder: bool) -> str:
    """The place to mount at, made if it is missing; never one that a symbolic link leads to."""
    path = root + target
    if os.path.realpath(path) != path:
        raise _Failure(f"cannot mount at {target}: a symbolic link is on the way")
    os.makedirs(path if is_folder else os.path.dirname(path), exist_ok=True)
    if not is_folder and not os.path.exists(path):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    return path


def _bind(root: str, source: str, target: str, read_only: bool) -> None:
    path = _make_target(root, target, os.path.isdir(source))
    bound = _LIBC.mount(source.encode(), path.encode(), None, _MS_REC_BIND, None)
    _check(bound, f"cannot mount {source} at {target}")
    # At once: what is mounted below later must not make its mount point on the host.
    _restrict(path, _ATTR_NOSUID | (_ATTR_READ_ONLY if read_only else 0), _AT_RECURSIVE)


def _build(plan: dict[str, Any]) -> None:
    root = plan["root"]
    _tmpfs(root, plan["root_options"])
    for path, mode in plan["folders"]:
        os.mkdir(root + path)
        os.chmod(root + path, mode)
    for path, target in plan["links"]:
        os.symlink(target, root + path)
    for path, text in plan["files"]:
        with open(root + path, "w") as stream:
            stream.write(text)
    for path, options in plan["tmpfs"]:
        _tmpfs(root + path, options)
    for source, target, read_only in plan["binds"]:
        _bind(root, source, target, read_only)


def _change_root(plan: dict[str, Any]) -> None:
    """Make the new root the namespace's own, and let go of the host's."""
    os.chdir(plan["root"])
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise _Failure(f"process nodes know no {platform.machine()}, only {', '.join(_PIVOT_ROOT)}")
    _check(_LIBC.syscall(number, b".", b"."), "cannot change the root")
    _check(_LIBC.umount2(b".", _MNT_DETACH), "cannot let go of the host's root")
    os.chdir("/")
    os.makedirs(plan["working_directory"], exist_ok=True)
    if plan["read_only_root"]:
        _restrict("/", _ATTR_READ_ONLY | _ATTR_NOSUID, 0)


def _follow(pidfd: int) -> None:
    """Enter the container of a running process; a process that is gone cannot be mistaken."""
    own_user = 0 if os.geteuid() == 0 else _CLONE_NEWUSER
    _check(_LIBC.setns(pidfd, _CLONE_NEWNS | own_user), "cannot enter the container")


def _give_up_rights(user: dict[str, Any], is_root: bool) -> None:
    kept = {_CAPABILITIES.index(name) for name in user["capabilities"]}
    number = 0
    while _LIBC.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
        if number not in kept:
            _check(_LIBC.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), f"cannot drop {number}")
        number += 1
    _clear_inheritable()
    if is_root:
        os.setgroups(user["groups"])
        os.setresgid(user["gid"], user["gid"], user["gid"])
        os.setresuid(user["uid"], user["uid"], user["uid"])
    _check(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "cannot forbid new privileges")


def _clear_inheritable() -> None:
    """Else the caller's inheritable and ambient capabilities would outlive the bounding set."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: low words, then high
    _check(_LIBC.capget(header, sets), "cannot read the capabilities")
    sets[2] = sets[5] = 0
    _check(_LIBC.capset(header, sets), "cannot drop the inheritable capabilities")


def _execute(plan: dict[str, Any]) -> None:
    try:
        os.chdir(plan["working_directory"])
    except OSError as error:
        raise _Failure(f"cannot work in {plan['working_directory']}: {error.strerror}") from error
    for number in signal.valid_signals():  # Python ignores some, nohup another, programs none
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    argv = plan["argv"]
    try:
        os.execvpe(argv[0], argv, plan["env"])
    except OSError as error:
        raise _Failure(f"cannot execute {argv[0]}: {error.strerror}") from error


def _main(record: str, report: int, pidfds: list[int]) -> None:
    os.set_inheritable(report, False)
    os.umask(0o022)
    if not pidfds:
        _record(record)
    plan = json.load(sys.stdin)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    is_root = os.geteuid() == 0
    if pidfds:
        _follow(pidfds[0])
        os.close(pidfds[0])
    else:
        _leave_host(plan["user"])
        _build(plan)
        _change_root(plan)
    _give_up_rights(plan["user"], is_root)
    _execute(plan)


if __name__ == "__main__":
    _report = int(sys.argv[2])
    try:
        _main(sys.argv[1], _report, [int(word) for word in sys.argv[3:]])
    except (_Failure, OSError, ValueError) as _error:
        _line = f"isoserve: the container could not be started: {_error}"
        print(_line, file=sys.stderr, flush=True)
        os.write(_report, _line.encode())
    sys.exit(128)
