"""Benchmarks of speed against other libraries: ``python -m benchmarks cpu`` and ``python -m benchmarks gpu``.

Everything that is compared is measured in turn within one run: same data, same architecture, same batch size.
"""

import os

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # read by torch's profiler when torch is imported
