"""Syntax trees in threads: where a finalizer lets another thread begin one, CPython 3.11 loses count of its depth."""

import gc
import sys
import threading
import weakref

import clearprop as cl
from clearprop.notation.expressions import expression_tree, syntax_tree

SOURCE = " + ".join(f"(a{i} * b{i})" for i in range(60))


class Garbage:
    """A circle whose end takes long enough for another thread to come."""

    def __init__(self):
        self.own = self

    def __del__(self):
        for _ in range(200):
            pass


def test_threads_that_parse_while_garbage_is_collected_do_not_meet():
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    problems, held = [], weakref.WeakKeyDictionary()

    def work():
        for _ in range(60):
            held[Garbage()] = [Garbage() for _ in range(5)]
            try:
                expression_tree(SOURCE)
                syntax_tree(f"x = {SOURCE}")
            except SystemError as problem:
                problems.append(problem)

    sys.setswitchinterval(1e-6)
    gc.set_threshold(50, 2, 2)
    try:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
    assert not problems
    assert cl.compile(lambda x: x + 1, executor="numpy")(1.0).item() == 2.0
