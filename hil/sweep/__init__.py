"""Sweeps: one thing tried in every way there is, and counted.

``powerloss`` cuts the power at every write of every operation on card and flash.
"""
