"""What a lab leaves on disk while it runs, enough to find it, to speak with it and to remove it after a crash."""

import contextlib
import json
import os
import shutil
import signal
import socket
import time

import network

FILE, CONTROL = "state.json", "control.sock"
MANIFESTS, HISTORY, TRUTH, CONNECTIONS = "manifests.yaml", "history", "truth.ndjson", "connections.ndjson"
WORK = (CONTROL, "pods", "logs")
RESULTS = (MANIFESTS, HISTORY, TRUTH, CONNECTIONS)


def read(directory: str) -> dict:
    try:
        with open(os.path.join(directory, FILE), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        raise RuntimeError(f"{directory}: no lab there (no {FILE})") from None


def write(directory: str, state: dict) -> None:
    path = os.path.join(directory, FILE)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(state, file, indent=1)
        file.write("\n")
    os.replace(path + ".new", path)


def start_time(pid: int) -> str:
    """Tells a process from a later one with the same number; empty if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def is_running(state: dict) -> bool:
    return start_time(state["pid"]) == state["start_time"]


def stop(state: dict, timeout: float = 20) -> None:
    """Ends the lab's own process, if it still runs."""
    deadline = time.monotonic() + timeout
    if is_running(state):
        with contextlib.suppress(ProcessLookupError):
            os.kill(state["pid"], signal.SIGTERM)
    while is_running(state):
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(state["pid"], signal.SIGKILL)
        time.sleep(0.02)


def remove_files(directory: str, state: dict) -> None:
    """Removes what the lab wrote, and nothing else that may lie in the directory."""
    keep = state.get("keep_files", False)
    for name in WORK[:2] if keep else (*WORK, *RESULTS):
        path = os.path.join(directory, name)
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
    for name in (f"{MANIFESTS}.new", f"{FILE}.new", FILE):
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(directory, name))
    if state.get("made_directory") and not keep:
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def down(directory: str) -> None:
    state = read(directory)
    stop(state)
    network.remove(state["prefix"])
    if os.path.isdir(directory):
        remove_files(directory, state)


@contextlib.contextmanager
def short_path(directory: str, name: str):
    """A path to a socket in the directory that fits into the kernel's 107 bytes."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def ask(directory: str, request: dict) -> dict:
    """Sends one request to the running lab and waits for its answer."""
    read(directory)
    with short_path(directory, CONTROL) as path, socket.socket(socket.AF_UNIX) as peer:
        try:
            peer.connect(path)
        except OSError as error:
            raise RuntimeError(f"{directory}: the lab does not answer: {error}") from None
        with peer.makefile("rw", encoding="utf-8") as stream:
            stream.write(json.dumps(request) + "\n")
            stream.flush()
            line = stream.readline()
    answer = json.loads(line) if line else {"error": "the lab ended"}
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer
