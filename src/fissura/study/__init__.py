"""Studies: anybody's comparison of losses, networks or data by many trainings with paired seeds.

A recipe is a value, a YAML file, or a Python file that defines `RECIPE`; see docs/studies.md. The
files of this room:

    data         where the images of a data set lie, or how they are drawn
    subsets      a folder with some of the images of another
    experiment   data and options of a training; with a seed, a run with a key
    recipe       the rows of a study
    recipe_file  a user's own recipe, from Python or YAML
    yaml_recipe  recipes in YAML
    options      budget (epochs, width …) and options of `fissura study`
    runner       `study`: trains what is missing, then shows the results
    results      the JSON file of a finished run
    statistics   paired comparison: intervals, exact tests, Holm's correction

    runs/        cost          what the runs will take, by timed steps
                 progress      how much is done, and the time left
                 workers       hands the runs to worker processes
                 one_run       trains and judges one run
                 images        the images of a run, read once for all
                 curve         the test IoU of some epochs, for the record
                 judge         the result of a finished training
                 logits        mean logits of crack pixels in training and test images
    outputs/     comparison    the table of a study, and each row against the baseline
                 thresholds    whether a difference is more than another threshold
                 exports       CSV files, LaTeX, a figure of every run
                 tables        a table in Markdown and in LaTeX
                 markdown      tables and numbers in Markdown
                 figure_files  colors of figures, and their files
"""
