"""Pure functions ``f(inputs, state, settings, now_s) -> (output, state)``: no I/O, no clock, no log, no asyncio."""
