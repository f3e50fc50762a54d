"""Studies: anybody's comparison of losses, networks or data by many trainings with paired seeds.

A recipe is a value, or a Python file that defines `RECIPE`; docs/studies.md has an example. The
files of this room, in the order of a study:

    data         where the images of a data set lie, or how they are drawn
    experiment   data and options of a training; with a seed, a run with a key
    recipe       the rows of a study, and how a recipe is read from a Python file
    options      budget (epochs, width …) and options of `fissura study`
    runner       `study`: trains what is missing, then shows the results
    workers      hands the runs to worker processes
    one_run      trains and judges one run
    results      the JSON file of a finished run
    statistics   paired comparison: intervals, exact tests, Holm's correction
    comparison   the table of a study, and each row against the baseline
    markdown     tables and numbers in Markdown
"""
