"""Several nodes in one process: each is spun, and what happens to one ends all."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

PATIENCE_S = 60

_PROGRAM = """
import sys
import threading
from rclpy.node import Node
from rclpy.task import Future
from dense_perception.ros.executable import FatalError, run

class Pair:
    def __init__(self):
        self.nodes = Node('first'), Node('second')
        self.finished = Future()
        self.called = threading.Event()
        self.nodes[0].create_timer(0.01, self.called.set)
        self.nodes[1].create_timer(0.01, self.work)

    def work(self):
        assert self.called.wait(30), 'the first node is not spun meanwhile'
        {work}

    def close(self):
        print('closed', flush=True)

sys.exit(run(Pair, ['pair']))
"""


@pytest.mark.parametrize(('work', 'code', 'said'), [
    ("raise FatalError('the lens fell off')", 1, 'the lens fell off'),
    ('self.finished.set_result(None)', 0, ''),
    ('1 // 0', 1, 'ZeroDivisionError')])
def test_what_a_second_node_does_ends_the_process(work: str, code: int, said: str,
                                                  ros_domain: int):
    program = textwrap.dedent(_PROGRAM).replace('{work}', work)
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          timeout=PATIENCE_S, env=os.environ | {'ROS_DOMAIN_ID': str(ros_domain)})
    assert done.returncode == code, done.stderr
    assert 'closed' in done.stdout and said in done.stderr
