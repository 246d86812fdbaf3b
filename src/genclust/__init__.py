"""Clusters in deep generative models: data, models, training, evaluation and experiments."""
