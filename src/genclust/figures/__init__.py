"""Figures: functions that draw arrays on matplotlib axes, without training and without files."""
