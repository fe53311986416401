"""Does the demo give the same answer with other seeds, on other processors?

python benchmarks/demo_agreement.py OUT [--seeds 0 1 2] [--scans 400]

Simulates the cohort of the demo once, then runs `studies/demo.yaml` on it with each seed of the trainings: in float32
with 1 and with 2 threads, and in bfloat16 where the processor has it. Each run is a process of its own. Printed are the
tuned thresholds and test scores, how far each is from the median of its loss, and the first sentences of the reports
with numbers left out. A run that is finished is not repeated.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cordlesion.config import builtin_study, read_study
from cordlesion.simulate import simulate_cohort
from cordlesion.study.demo import DOMAIN, SCANS, SEED

PROCESSORS = {"float32, 1 thread": ("float32", 1), "float32, 2 threads": ("float32", 2), "bfloat16": ("auto", 2)}
TOLERANCES = {"t": 0.05, "test F1": 0.03}


def main() -> None:
    """Run the studies and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--scans", type=int, default=SCANS)
    given = parser.parse_args()
    simulate_cohort(given.out / "cohort", scans=given.scans, seed=SEED, domain=DOMAIN)
    rows, sentences = [], {}
    for seed in given.seeds:
        for processor in PROCESSORS:
            study = _run(given.out, seed, processor)
            rows += [{"seed": seed, "processor": processor, **row} for row in _answers(study)]
            sentences[seed, processor] = _first_sentences(study)
    print(_table(pd.DataFrame(rows)))
    print(f"\n{len(set(sentences.values()))} wordings of the recommendation in {len(sentences)} reports:")
    for wording in dict.fromkeys(sentences.values()):
        print(f"* {sum(other == wording for other in sentences.values())} x {wording}")


def _run(out: Path, seed: int, processor: str) -> Path:
    """Run the demo's study with a seed on a processor, and return its folder."""
    precision, threads = PROCESSORS[processor]
    name = f"seed-{seed}_{precision}_{threads}"
    content = read_study(builtin_study("demo")).model_dump(mode="json", exclude_defaults=True)
    content |= {"dataset": "cohort", "output": name, "seeds": [seed]}
    for section in ("training", "prediction"):
        content[section] = content.get(section, {}) | {"precision": precision}
    # JSON is YAML, too.
    (out / f"{name}.yaml").write_text(json.dumps(content, indent=1))
    command = [sys.executable, "-m", "cordlesion", "study", "run", str(out / f"{name}.yaml")]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    return out / name


def _answers(study: Path) -> Iterator[dict[str, object]]:
    """Yield loss, tuned threshold and mean voxel F1 over the test scans with lesions."""
    scores = pd.read_csv(study / "evaluation.tsv", sep="\t")
    with_lesions = scores[(scores["set"] == "test") & (scores["reference_volume_mm3"] > 0)]
    for row in pd.read_csv(study / "thresholds.tsv", sep="\t").itertuples():
        own = with_lesions[(with_lesions["loss"] == row.loss) & (abs(with_lesions["threshold"] - row.threshold) < 1e-6)]
        untuned = with_lesions[(with_lesions["loss"] == row.loss) & (with_lesions["threshold"] == 0.5)]
        yield {
            "loss": row.loss,
            "t": row.threshold,
            "test F1": own["voxel_f1"].mean(),
            "test F1 at 0.5": untuned["voxel_f1"].mean(),
        }


def _table(answers: pd.DataFrame) -> str:
    """Return the answers, and for each loss how far the farthest one is from the median."""
    lines = [answers.round(3).to_string(index=False), ""]
    for loss, rows in answers.groupby("loss", sort=False):
        for column, tolerance in TOLERANCES.items():
            away = (rows[column] - rows[column].median()).abs().max()
            verdict = "within" if away <= tolerance + 1e-9 else "BEYOND"
            lines.append(f"{loss}: {column} at most {away:.3f} from its median, {verdict} {tolerance}")
    return "\n".join(lines)


def _first_sentences(study: Path) -> str:
    """Return the text of the recommendation with numbers left out."""
    page = (study / "report.html").read_text()
    section = re.search(r'<section[^>]*id="brief".*?</section>', page, re.S)
    if section is None:
        raise ValueError(f"{study}: the report has no section with the id brief")
    text = re.sub(r"<(style|svg|script|table).*?</\1>|<[^>]+>", " ", section[0], flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?", "#", text)).strip()


if __name__ == "__main__":
    main()
