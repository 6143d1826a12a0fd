"""Pictures for people to look at: a video drawn over, people hidden, a heat map and a flow picture of a day.

Pure: arrays in, pictures out. Pictures are uint8[H, W, 3], BGR; boxes and points are pixels of the upright picture with
y downwards; lines and zones are drawn in 0..1 of it.
"""
