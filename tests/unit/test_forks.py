"""Work for which a fork waits."""

import subprocess
import sys

BEGIN = """
import os, threading, time
from otel_ha.forks import ForkBarrier

barrier = ForkBarrier()
began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

def work():
    with barrier:
        began.set()
        may_end.wait()
        ended.set()

def in_child(state):
    if (child := os.fork()) == 0:
        with barrier:  # nobody holds it in the child
            os._exit(state())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

thread = threading.Thread(target=work)
thread.start()
began.wait()
"""


def said_by(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_fork_waits_for_the_end_of_the_work():
    code = """
threading.Timer(0.2, may_end.set).start()
print(in_child(ended.is_set))
thread.join()
"""
    assert said_by(code) == "1"


def test_work_that_takes_too_long_holds_no_fork_up_and_the_child_does_not_wait_for_it():
    code = """
print(in_child(ended.is_set), in_child(ended.is_set))
may_end.set()
thread.join()
with barrier:
    pass
"""
    assert said_by(code) == "0 0"


def test_work_that_begins_during_a_fork_waits_for_its_end():
    code = """
may_end.set()
thread.join()
begun = threading.Event()

def begin():
    with barrier:
        begun.set()

beginning = threading.Thread(target=begin)
during = []

def before():  # after the barrier's own hook, as Python calls the hooks registered last first
    beginning.start()
    during.append(begun.wait(0.3))

hooks = []
os.register_at_fork, register = lambda **each: hooks.append(each), os.register_at_fork
barrier = ForkBarrier()
register(before=before)
register(**hooks[0])
in_child(begun.is_set)
beginning.join()
print(during, begun.is_set())
"""
    assert said_by(code) == "[False] True"
