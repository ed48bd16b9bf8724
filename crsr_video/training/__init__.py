"""Training of the networks, which inference never imports.

Pictures are prepared once (`prepare`), degraded as they are needed (`degrade`) and drawn by step
(`draws`); a session (`session`) trains with a method (`method`), and `export` writes weights to
ship.
"""
