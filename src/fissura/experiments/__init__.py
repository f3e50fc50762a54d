"""The paper's tables and figures as lists of trainings, and what the trainings say about it.

experiment datasets rows            what is trained: values
table1 … table4 fig1 fig3 fig4      the recipes: each lists its experiments, and draws its result
single pool                         one run; many runs at once
results statistics claims page      what came out, and what follows from it
study                               all of it: `fissura study` and `fissura results`
"""
