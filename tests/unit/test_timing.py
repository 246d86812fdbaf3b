"""The clock of costs: a core's seconds on a CPU, whatever else goes on."""

import time

from genclust.timing import clock


def test_waiting_costs_nothing_on_a_cpu_and_work_does():
    began = clock("cpu")
    time.sleep(0.3)
    waited = clock("cpu") - began
    while clock("cpu") - began < waited + 0.2:
        pass
    assert waited < 0.1


def test_on_an_accelerator_waiting_counts():
    began = clock("cuda")
    time.sleep(0.1)
    assert clock("cuda") - began >= 0.1
