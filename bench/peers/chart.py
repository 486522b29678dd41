"""chart.py TABLE.tsv OUT.svg: each row of the table as bars, Weir = 1, on a logarithmic scale."""
import csv
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

COLOURS = {"Weir": "#0b6e4f", "libextism 1.41.0": "#8a8d91", "Go SDK 1.7.1": "#4f9fc4", "JS SDK 1.0.3": "#d9a441", "JS SDK 2.0.0-rc13": "#c2673d",
           "tardis-dev 13.35.3": "#7b5ea7", "ccxt 4.5.84": "#b0413e"}


def read(path):
    rows = {}
    for r in csv.DictReader(open(path, encoding="utf-8"), delimiter="\t"):
        if r["best"] and r["unit"] in ("ns", "1/s") or r["work"].endswith("resident"):
            value = float(r["best"]) if r["best"] else 0
            rows.setdefault(r["work"], {})[r["peer"]] = 1 / value if r["unit"] == "1/s" and value else value
    return {work: of for work, of in rows.items() if of.get("Weir") and len(of) > 1}


def main():
    rows = read(sys.argv[1])
    plt.rcParams.update({"svg.hashsalt": "weir", "svg.fonttype": "none", "font.size": 8})
    figure, axes = plt.subplots(figsize=(8.2, 0.32 * sum(len(of) + 1 for of in rows.values()) / 1.6 + 0.6))
    y, ticks = 0.0, []
    for work, of in rows.items():
        top = y
        for peer, colour in COLOURS.items():
            if peer not in of:
                continue
            ratio = of[peer] / of["Weir"]
            axes.barh(y, ratio, 0.86, color=colour, left=0)
            axes.text(ratio * 1.05, y, f"{ratio:.2g}" if ratio < 100 else f"{ratio:.0f}", va="center", fontsize=6)
            y += 1
        ticks.append(((top + y - 1) / 2, work))
        y += 0.8
    axes.set_xscale("log")
    axes.axvline(1, color="#0b6e4f", linewidth=0.8)
    axes.set_yticks([t[0] for t in ticks], [t[1] for t in ticks])
    axes.invert_yaxis()
    axes.set_xlabel("cost, Weir = 1; longer is worse")
    axes.spines[["top", "right"]].set_visible(False)
    present = {peer for of in rows.values() for peer in of}
    axes.legend([plt.Rectangle((0, 0), 1, 1, color=c) for p, c in COLOURS.items() if p in present], [p for p in COLOURS if p in present], loc="lower right", fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


main()
