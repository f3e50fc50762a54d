"""From a model and labeled images to a report that can be trusted.

score     probabilities + truth → all figures (no files, no model: studies call this)
summary   the figures in one nested dictionary, with their intervals and rules
pictures  the precision-recall curve, and the best, median and worst images
page      report.html
evaluate  the whole of `fissura evaluate`
"""
