"""The paper's figures, drawn from results: a file for each, and what they share.

fig1      the losses and how they turn into each other; diagram draws it
fig3      the margin against the fraction of crack
fig4      predictions of several losses on the same photos
"""
