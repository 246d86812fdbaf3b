"""Training: the training loop, CUDA graphs of its step, schedules, precision, batch statistics and checkpoints."""
