#!/usr/bin/env python3
"""Everything that a GPU machine has to say, in one call: kernels against references, steps, the peers, one table.

    python3 benches/compare.py --binary PATH [--tests PATH] [--adapter NAME] [--out results.json] [WORKLOAD ..]

Needs a built melgrad and, for the peers, torch (with CUDA on an NVIDIA machine; its CPU is the peer of a software
adapter). --tests is the integration-test binary (target/*/deps/it-*): with it, the whole kernel table runs first. Stops
if a kernel disagrees: times of wrong kernels mean nothing. Ratios above 1 mean that melgrad is faster.
"""
import argparse, importlib.util, json, os, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))

def run(command, **keywords):
    print("$", " ".join(command), flush=True)
    return subprocess.run(command, text=True, **keywords)

def lines(output):
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/melgrad")
    parser.add_argument("--tests", help="the integration-test binary, for the whole kernel table")
    parser.add_argument("--adapter", help="as melgrad's --adapter")
    parser.add_argument("--out", help="write everything that was measured here, as JSON")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("workloads", nargs="*")
    args = parser.parse_args()
    start, choice = time.time(), ["--adapter", args.adapter] if args.adapter else []

    doctor = run([args.binary, "doctor", "--json", *choice], stdout=subprocess.PIPE)
    if doctor.returncode != 0:
        print(doctor.stdout); sys.exit("the self-test failed: nothing is measured")
    environment = dict(os.environ, **({"MELGRAD_ADAPTER": args.adapter} if args.adapter else {}))
    if args.tests and run([args.tests, "kernels", "networks"], env=environment).returncode != 0:
        sys.exit("a kernel disagrees with its reference: nothing is measured")

    bench = run([args.binary, "bench", *choice, *args.workloads], stdout=subprocess.PIPE)
    ours = lines(bench.stdout)
    if bench.returncode != 0:
        sys.exit("melgrad bench failed")
    if not ours:
        sys.exit("melgrad bench printed nothing")

    peers, software = [], "llvmpipe" in ours[0]["adapter"] or "(software" in ours[0]["adapter"]
    if not args.no_peers and importlib.util.find_spec("torch"):
        import torch
        cpu = software or not torch.cuda.is_available()
        kinds = sorted({"bbnn" if row["workload"].startswith("bbnn") else "rnn" for row in ours})
        peer = run([sys.executable, os.path.join(HERE, "pytorch_peers.py"), *(["--device", "cpu"] if cpu else []), *kinds], stdout=subprocess.PIPE)
        peers = lines(peer.stdout)
        for row in [row for row in peers if "error" in row]:
            print("peer failed:", row)
        if peer.returncode != 0:
            print("the peers' script failed: the table lacks some of their rows")

    print(f"\n{ours[0]['adapter']}; {time.time() - start:.0f} s in all")
    heading = ("workload", "ms/step", "gpu ms", "host ms", "dispatches", "GB", "peer", "peer ms", "ratio")
    rows = [heading]
    for row in ours:
        gpu = "-" if row["gpu_ms"] is None else f"{row['gpu_ms']:.2f}"
        mine = [row["workload"], f"{row['ms_per_step']:.2f}", gpu, f"{row['host_ms']:.2f}", str(row["dispatches"]), f"{row['peak_bytes'] / 1e9:.2f}"]
        # The same network by any of the peers' implementations of it.
        network, _, sizes = row["workload"].partition("_")
        same = [p for p in peers if "ms_per_step" in p and p["workload"].startswith(network) and p["workload"].endswith(sizes)]
        for p in same or [None]:
            theirs = ["-", "-", "-"] if p is None else [f"{p['workload'][: -len(sizes) - 1]} {p['mode']}", f"{p['ms_per_step']:.2f}", f"{p['ms_per_step'] / row['ms_per_step']:.2f}"]
            rows.append(tuple(mine + theirs)); mine = [""] * 6
    widths = [max(len(row[i]) for row in rows) for i in range(len(heading))]
    for row in rows:
        print("  ".join(cell.ljust(w) if i in (0, 6) else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip())
    if args.out:
        with open(args.out, "w") as file:
            json.dump({"doctor": json.loads(doctor.stdout), "melgrad": ours, "peers": peers}, file, indent=1)

if __name__ == "__main__":
    main()
