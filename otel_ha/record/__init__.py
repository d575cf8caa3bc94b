"""Recording: a recorder checks a measurement, resolves its attributes within their limits, and records it.

Problems with a measurement are counted and logged once; nothing here raises into the measured code.
"""
