import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fissura.study.outputs.tables import IN_LATEX, Table, latex_text

# What a reader of the LaTeX must not find unless it is ours.
SPECIAL = re.compile(r"(?<!\\)[&%$#_~^]")


@given(st.text(st.sampled_from([*"ab {}", *IN_LATEX]), max_size=30))
def test_no_special_character_is_left_unescaped(text):
    written = latex_text(text)
    assert not SPECIAL.search(written.replace(r"\ensuremath{<}", ""))
    # Braces are balanced: each that is a group's, once the escaped ones are taken out.
    bare = re.sub(r"\\[{}]", "", written)
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0


def test_letters_and_signs_are_what_latex_has():
    assert latex_text("L_HF (γ̂ = 2)") == r"L\_HF (\ensuremath{\hat{\gamma}} = 2)"
    assert latex_text("71.0 ± 0.2") == r"71.0 \ensuremath{\pm} 0.2"
    assert latex_text("−0.2 – 3") == r"\ensuremath{-}0.2 -- 3"


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles_and_a_wide_table_fits_the_page(tmp_path):
    head = ["γ̂ of L_ours", *[f"Metric {column} of several words" for column in range(9)]]
    rows = [["[5 %] & {more}", *["−71.05 ± 0.26 µ"] * 9], ["plain", *["–"] * 9]]
    tables = [Table("Wide ≤ 100 %", head, rows), Table("Narrow", ["Loss", "IoU"], [["a", "1"]])]
    text = "\n".join(table.latex(f"t{number}") for number, table in enumerate(tables))
    (tmp_path / "page.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
        f"{text}\\end{{document}}\n",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "Overfull" not in ran.stdout


def test_every_row_has_its_cells_and_every_environment_its_end():
    cells = [["a & b", "1 %", "2"], ["[c]", "3", "4_5"]]
    text = Table("100 % of it", ["Loss", "IoU", "F1"], cells).latex("mine")
    begun = re.findall(r"\\begin\{(\w+)\}", text)
    assert begun == ["table", "tabular"]
    assert re.findall(r"\\end\{(\w+)\}", text) == begun[::-1]
    rules = [line.strip() for line in text.splitlines() if line.strip().endswith("rule")]
    assert rules == [r"\toprule", r"\midrule", r"\bottomrule"]
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 3
    for line in lines:
        assert len(re.findall(r"(?<!\\)&", line)) == 2
    assert r"\begin{tabular}{lrr}" in text
    # A row that begins with a bracket is no option of the \\ before it.
    assert "{}[c]" in text
