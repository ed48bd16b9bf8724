"""Jobs: many files, resumable runs in segments, and Ray clusters.

`queue` enhances many files, in one process or several. `segments` divides one video, so that a run
can be resumed and shared. `cluster` shares the segments of many videos over machines. All of them
report with the events of `events`.
"""
