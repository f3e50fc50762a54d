"""From a model and labeled images to a report that can be trusted.

score     probabilities + truth → all counts (no files, no model: studies call this)
summary   the metrics in one nested dictionary, with their intervals and rules
clean     photos without crack as a labeled set
warnings  reasons to doubt the metrics
figures   the precision-recall curve, and the best, median and worst images
page      report.html
report    the folder of a report
evaluate  the whole of `fissura evaluate` with one model
compare   the same with several: differences with intervals, image by image
compare_page  comparison.html, its JSON and its scatter plots
classes   each of several classes scored by itself, and their confusions
class_report  the folder of a report on several classes
"""
