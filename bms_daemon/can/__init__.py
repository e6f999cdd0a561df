"""CAN: frames as dbc/bms.dbc states them, sent and received, with end-to-end protection and the user's own DBC."""
