"""Fits a cell file to a user's recordings of one cell: slow discharges, pulses, cycles of real use."""
