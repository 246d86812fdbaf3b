"""Evaluation of trained models: clustering scores, likelihoods, nearest neighbours, projections and images."""
