"""The losses of several classes, of which each pixel has one: functions `softmax_…_loss`.

focal margin         entropies of the classes
overlap              Dice and Tversky losses, a mean over the classes
hybrid unified       sums of both
_class_pixels        log-odds of the classes, checked and masked
"""
