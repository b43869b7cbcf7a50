"""Sweeps: one thing tried in every way there is, and counted.

================  ==========================================================================
``case``          one point of the grid, its world, and what came of it
``grid``          seeds x models x keys x hashes x fault plans x what a scenario adds
``scenario``      what is done in every case: ours by name, a user's from a file
``certificates``  ours: a box's life with its certificates
``storm``         ours: all phones of a registrar come back at once
``models``        boards by name or by file, and how files reach the workers
``work``          what a worker does with a case
``engine``        the workers on this machine, and what becomes of one that dies
``workplace``     how workers on this machine begin, and what goes with them
``cluster``       workers elsewhere: Dask
``journal``       results while a sweep runs, safe from its end
``columns``       results when it has ended: one columnar file
``summary``       what is told at the end: a table, and how each failure is repeated
``session``       all of it together
``powerloss``     another sweep: the power cut at every write of every operation
================  ==========================================================================

Nothing is imported here: ``gatebench --help`` stays quick.
"""
