"""The paper's experiments on top of `fissura.study`: its tables, figures, claims, and their page.

data             the paper's data sets
losses           its losses with its parameters
tables           Tables I to IV as recipes
figures          Figures 1, 3 and 4 as recipes, and how they are drawn
recipes          all recipes by name
table_markdown   the tables with the paper's metrics beside ours
budgets          the budgets at which there are results
claims           the claims as values
verdicts         the claims judged by the results
explanations     why our metrics may differ from the paper's
provenance       machines, versions and data of the results
page             docs/results.md
"""
