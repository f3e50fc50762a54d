"""The paper's tables and figures as lists of trainings, and what the trainings say about it.

experiment datasets rows        what is trained, as values
table1 … table4 fig1 fig3 fig4  the recipes: each lists its experiments
single pool                     one run; many runs at once
results scales                  what came out, a file per run; which of it belongs together
tables                          the tables, in Markdown
unification_plot margin_plot grid_plot figure_files   the figures
statistics claims verdicts explanations               what follows from it
page provenance                 docs/results.md
study                           all of it: `fissura study` and `fissura results`
"""
