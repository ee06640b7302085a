"""A benchmark for those who write losses: any loss, tuned alike, on situations kept for it alone.

What they are is in `sealed.py`; what a stranger's file must hold in `stranger.py`; it is carried
out in a process of its own (`child.py`), and the record and the table are in `verdict.py`.
"""
