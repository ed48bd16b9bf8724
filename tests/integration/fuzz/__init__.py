"""Damaged videos, thousands of them: nothing may hang, crash, or pass garbage off as a result.

python -m tests.integration.fuzz --count 2000 --seed 0 --jobs 2
"""
