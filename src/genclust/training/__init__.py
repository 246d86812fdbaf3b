"""Training: the loop, the captured step, schedules, checkpoints."""
