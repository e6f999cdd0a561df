"""``python -m bms_daemon.offline.accuracy``: how accurate the estimator is on recordings of real cells, as a document.

Another quantity is another module beside `soc_table`, named in `__main__.TABLES`.
"""
