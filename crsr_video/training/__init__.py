"""Training of the two networks; never imported by inference.

Pictures are prepared once (`prepare`), spoilt on the fly (`degrade`), fed in step-seeded batches
(`data`) to one loop (`train`), and the averaged weights are written for shipping (`export`).
"""
