"""Figures of merit for crack masks, in NumPy: from pixel counts to curves, topology and intervals.

counts     tp, fp, fn, tn → precision, recall, F1, IoU; 256-bin histograms of probabilities
curves     precision-recall curve, AP, ODS, OIS, the best threshold of validation data
matches    counts that differ seen from the prediction and seen from the truth
tolerant   precision, recall, F1 that forgive a few pixels of displacement
topology   clDice: is the crack's centerline found, unbroken
bootstrap  intervals over images, and of the difference between two models
"""
