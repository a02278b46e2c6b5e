#!/usr/bin/env python3
"""What steps would take on a GPU that is not at hand, from what the program counts: a paper estimate, no measurement.

    melgrad bench WORKLOAD.. --kernels tiled,together --json > counts.json      # anywhere, once for each precision
    python3 benches/estimate.py benches/results/2026-11-23-nvidia-h100.json counts.json [mixed.json ..]

The first file is what compare.py wrote on that GPU: times, and what the program counted for them as it was then. The model of a
step is the sum of

    dispatches x 3.5 us  +  bytes bound / 2.8 TB/s  +  work / 32 TFLOP/s

whose rates were measured on an H100 (a dispatch, a copy, a product of f32). Nothing overlaps in it, caches are not seen, and steps
of a recurrence that wait for each other neither. So it is never used by itself: the time measured then is carried on by what
changed in the model since, once by its ratio and once by its difference, and both are shown. In mixed precision products run on
matrix units at 105 TFLOP/s.

Counts of RNN, GRU and LSTM are to be taken on hardware: software adapters end loops that turn too often, so that a recurrence is
cut there into dispatches that each bind its whole sequence; the script says so where it sees more of them than on the GPU.
"""
import argparse, json

DISPATCH_MS = 3.5e-3
BYTES_PER_MS = 2.8e9
WORK_PER_MS = {"f32": 32e9, "mixed": 105e9}


def model(row):
    return [row["dispatches"] * DISPATCH_MS, row["bytes_bound"] / BYTES_PER_MS, row["work"] / WORK_PER_MS[row["precision"]]]


def rows(path):
    with open(path) as file:
        document = json.load(file)
    return document["melgrad"] if isinstance(document, dict) else document


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", help="what compare.py wrote on the GPU")
    parser.add_argument("counts", nargs="+", help="what `melgrad bench --json` wrote, on any adapter")
    options = parser.parse_args()
    measured = {(row["workload"], row["precision"]): row for row in rows(options.measured)}
    counted = [row for path in options.counts for row in rows(path)]
    print("| workload | precision | dispatches | GB bound | GFLOP | model ms (dispatches + bytes + work) | measured then | estimate now |")
    print("|---|---|---|---|---|---|---|---|")
    notes = []
    for row in counted:
        then = measured.get((row["workload"], row["precision"]))
        if then is None:
            notes.append(f"{row['workload']}, {row['precision']}: not measured there")
            continue
        if "H100" not in then["adapter"]:
            parser.error(f"{options.measured} is of {then['adapter']}: the rates above are an H100's")
        if row["workload"].startswith(("rnn", "gru", "lstm")) and row["dispatches"] > then["dispatches"]:
            notes.append(f"{row['workload']}, {row['precision']}: cut into {row['dispatches']} dispatches here, {then['dispatches']} there")
            continue
        before, now = model(then), model(row)

        def change(key, scale, digits):
            return f"{then[key] / scale:.{digits}f} -> {row[key] / scale:.{digits}f}"

        ratio, difference = then["ms_per_step"] * sum(now) / sum(before), then["ms_per_step"] - (sum(before) - sum(now))
        low, high = sorted([ratio, difference])
        parts = " + ".join(f"{part:.2f}" for part in now)
        print(
            f"| {row['workload']} | {row['precision']} | {change('dispatches', 1, 0)} | {change('bytes_bound', 1e9, 2)} | "
            f"{change('work', 1e9, 0)} | {sum(before):.2f} -> {sum(now):.2f} ({parts}) | {then['ms_per_step']:.2f} | {low:.2f} to {high:.2f} |"
        )
    for note in notes:
        print(f"No estimate of {note}.")


if __name__ == "__main__":
    main()
