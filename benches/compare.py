#!/usr/bin/env python3
"""Everything that a machine has to say, in one call: kernels against references, steps, kernels, the peers, one table.

    python3 benches/compare.py --binary PATH [--tests PATH] [--adapter NAME] [--out results.json] [WORKLOAD ..]
    python3 benches/compare.py --turns 5 [WORKLOAD ..]

Needs a built melgrad and, for the peers, torch (with CUDA on an NVIDIA machine; its CPU is the peer of a software
adapter). --tests is the integration-test binary (target/*/deps/it-*): with it, the whole kernel table is checked first.
Stops if a kernel disagrees: times of wrong kernels mean nothing. Ratios above 1 mean that melgrad is faster.

The first form ends within --minutes, also where something hangs: whoever runs late is cut off, what it printed counts, and
the table says what is missing. --out is written after every stage.

--turns N is for machines whose speed drifts: each workload is measured N times by melgrad and N times by PyTorch, one after
the other, by turns of who begins, in processes of their own; medians are compared, with the smallest and the largest beside
them. It says where other programs had the processor meanwhile. It takes the time that it takes.
"""
import argparse, importlib.util, json, os, resource, signal, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(HERE, "pytorch_peers.py")
# Peers that are measured one by one on the CPU; see pytorch_peers.py.
ON_CPU = ["indrnn_t647_b32_i128_h128_l5", "rnn_t647_b32_i128_h128_l5", "gru_t647_b32_i128_h128_l5", "lstm_t647_b32_i128_h128_l5", "bbnn_b2_t647_m128"]
# Cores that others may keep busy before figures on a processor say little.
OTHERS = 0.2


def busy():
    """Seconds that all cores have worked so far, and those of this script's ended children; None where the system does not say."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, interrupts, soft, *_ = (int(field) for field in file.readline().split()[1:])
    except (OSError, ValueError):
        return None
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK"), children.ru_utime + children.ru_stime


class Stage:
    """What a command printed, whether it came to its end, what it took, and how many cores others kept busy meanwhile."""

    def __init__(self, command, seconds=None, environment=None):
        print("$", " ".join(command), flush=True)
        start, before = time.time(), busy()
        with tempfile.TemporaryFile("w+") as output:
            # A group of its own, so that what it started ends with it.
            process = subprocess.Popen(command, stdout=output, env=environment, start_new_session=True)
            try:
                self.code = process.wait(None if seconds is None else max(seconds, 1))
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                self.code = None
            output.seek(0)
            self.text = output.read()
        after, wall, self.others = busy(), time.time() - start, None
        if before and after:
            self.others = round(max(0.0, (after[0] - before[0]) - (after[1] - before[1])) / wall, 2)
        self.seconds = round(wall, 1)
        if self.code is None:
            print(f"cut off after {self.seconds} s: {' '.join(command)}", flush=True)

    def lines(self):
        rows = []
        for line in self.text.splitlines():
            # The last line of a command that was cut off may be half of one.
            try:
                rows.append(json.loads(line)) if line.startswith("{") else None
            except ValueError:
                pass
        return rows

    def document(self):
        try:
            return json.loads(self.text)
        except ValueError:
            return None


def is_software(adapter):
    return "llvmpipe" in adapter or "lavapipe" in adapter or "SwiftShader" in adapter or "(software" in adapter


def peer_of(row, peers):
    """The same network and sizes, by any of the peers' implementations of it."""
    network, _, sizes = row["workload"].partition("_")
    return [p for p in peers if "ms_per_step" in p and p["workload"].startswith(network) and p["workload"].endswith(sizes)]


def table(rows, left):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip())


def peers_commands(device, names):
    """On a processor also with subnormal numbers flushed, which melgrad's recurrences do of themselves there."""
    modes = [["--device", "cpu"], ["--device", "cpu", "--flush"]] if device == "cpu" else [[]]
    return [[sys.executable, PEERS, *mode, "--only", ",".join(names), "bbnn", "rnn"] for mode in modes]


def once(args, results, save, left):
    """Steps, the kernel table, the peers, each in the time that is left."""
    choice = ["--adapter", args.adapter] if args.adapter else []
    bench = Stage([args.binary, "bench", *(["--ceilings"] if not args.no_kernels else []), *choice, *args.workloads], left())
    ours = results["melgrad"] = bench.lines()
    save()
    if bench.code not in (0, None) or not ours:
        sys.exit("melgrad bench failed")
    adapter = ours[0]["adapter"]
    if not is_software(adapter):
        # Half of the time at most: the peers matter more.
        ours += Stage([args.binary, "bench", "--precision", "mixed", *choice, *args.workloads], left(0.5)).lines()
        save()
    if not args.no_kernels:
        # Half of the time at most: the peers matter more.
        first, *rows = Stage([args.binary, "bench", "--each-kernel", "--lines", *choice], left(0.5)).lines() or [{}]
        results["kernels"] = dict(first, kernels=rows)
        save()
    peers = []
    if args.no_peers:
        pass
    elif importlib.util.find_spec("torch"):
        import torch
        device = "cpu" if is_software(adapter) or not torch.cuda.is_available() else "cuda"
        names = list(dict.fromkeys(row["workload"] for row in ours))
        stages = []
        for command in peers_commands(device, names):
            stages.append(Stage(command, left()))
            peers += stages[-1].lines()
            results["peers"] = peers
            save()
        for row in [row for row in peers if "error" in row]:
            print("peer failed:", row)
        if any(stage.code != 0 for stage in stages):
            print("the peers' script was cut off or failed: the table lacks some of their rows")
    else:
        print("there is no torch here: no peers")

    rows = [("workload", "ms/step", "gpu ms", "host ms", "floors ms", "dispatches", "GB", "peer", "peer ms", "ratio")]
    for row in ours:
        gpu = "-" if row["gpu_ms"] is None else f"{row['gpu_ms']:.2f}"
        floors = f"{row['floor_bytes_ms']:.2f} {row['floor_work_ms']:.2f}" if "floor_bytes_ms" in row else "-"
        name = row["workload"] + ("" if row["precision"] == "f32" else " " + row["precision"])
        mine = [name, f"{row['ms_per_step']:.2f}", gpu, f"{row['host_ms']:.2f}", floors, str(row["dispatches"]), f"{row['peak_bytes'] / 1e9:.2f}"]
        for p in peer_of(row, peers) or [None]:
            theirs = ["-", "-", "-"]
            if p is not None:
                ratio = p["ms_per_step"] / row["ms_per_step"]
                network, _, sizes = row["workload"].partition("_")
                name = p["workload"][: -len(sizes) - 1]
                results["ratios"].append(dict(workload=row["workload"], precision=row["precision"], peer=name, mode=p["mode"], ratio=ratio))
                theirs = [f"{name} {p['mode']}", f"{p['ms_per_step']:.2f}", f"{ratio:.2f}"]
            rows.append(tuple(mine + theirs))
            mine = [""] * 7
    print(f"\n{adapter}; floors: what the bytes bound and the work take at the adapter's measured rates\n")
    table(rows, (0, 7))


def by_turns(args, results, save):
    """Each workload by both, one after the other, N times."""
    choice = ["--adapter", args.adapter] if args.adapter else []
    device = "cpu" if args.device == "cpu" else "cuda"
    ours, theirs = results["melgrad"], results["peers"]
    try:
        for turn in range(args.turns):
            for workload in args.workloads or ON_CPU:
                sides = [(ours, [args.binary, "bench", *choice, workload]), *((theirs, peer) for peer in peers_commands(device, [workload]))]
                for rows, command in sides if turn % 2 == 0 else sides[::-1]:
                    stage = Stage(command)
                    rows.extend(dict(row, turn=turn, others_cores=stage.others) for row in stage.lines())
                save()
    except (KeyboardInterrupt, SystemExit):
        print("ended early: the table has what was measured until then")
    rows = [("workload", "melgrad ms", "smallest-largest", "peer", "peer ms", "smallest-largest", "ratio", "of smallest")]
    figures = lambda times: (f"{statistics.median(times):.1f}", f"{min(times):.1f}-{max(times):.1f}")
    for workload in dict.fromkeys(row["workload"] for row in ours):
        mine = [row["ms_per_step"] for row in ours if row["workload"] == workload]
        cells = [workload, *figures(mine)]
        same = peer_of({"workload": workload}, theirs)
        for kind in dict.fromkeys((p["workload"], p["mode"]) for p in same) or [None]:
            peer = [p["ms_per_step"] for p in same if (p["workload"], p["mode"]) == kind]
            if not peer:
                rows.append(tuple(cells + ["-"] * 5))
                continue
            ratio = statistics.median(peer) / statistics.median(mine)
            best = min(peer) / min(mine)
            results["ratios"].append(dict(workload=workload, peer=kind[0], mode=kind[1], turns=[len(mine), len(peer)], ratio=ratio, ratio_of_smallest=best))
            rows.append(tuple(cells + [kind[1], *figures(peer), f"{ratio:.2f}", f"{best:.2f}"]))
            cells = [""] * 3
    adapter = ours[0]["adapter"] if ours else "melgrad measured nothing"
    print(f"\n{adapter}, against PyTorch on {device}; medians of up to {args.turns} turns\n")
    table(rows, (0, 3))
    others = [row["others_cores"] for row in ours + theirs if row["others_cores"] is not None]
    if others and statistics.median(others) > OTHERS:
        print(f"\nOther programs kept {statistics.median(others):.1f} cores busy meanwhile. PyTorch's threads wait for each other and lose far more by\nthat than melgrad does: these ratios flatter melgrad. Measure again on an idle machine.")
    if not ours or not theirs:
        sys.exit("one side measured nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/melgrad")
    parser.add_argument("--tests", help="the integration-test binary, for the whole kernel table")
    parser.add_argument("--adapter", help="as melgrad's --adapter")
    parser.add_argument("--out", help="write everything that was measured here, as JSON")
    parser.add_argument("--minutes", type=float, default=8.0, help="all together, without --turns [default: 8]")
    parser.add_argument("--turns", type=int, default=0, metavar="N", help="melgrad and PyTorch by turns, N times each")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="PyTorch's, with --turns [default: cpu]")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-kernels", action="store_true", help="neither the table of kernels nor the adapter's ceilings")
    parser.add_argument("workloads", nargs="*")
    args = parser.parse_args()
    # Ended from outside, it ends what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    start = time.time()
    results = dict(when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), command=sys.argv[1:], melgrad=[], peers=[], ratios=[])

    def left(share=1.0):
        return None if args.turns else share * (60 * args.minutes - (time.time() - start))

    def save():
        results["seconds"] = round(time.time() - start, 1)
        if args.out:
            with open(args.out + ".part", "w") as file:
                json.dump(results, file, indent=1)
            os.replace(args.out + ".part", args.out)

    choice = ["--adapter", args.adapter] if args.adapter else []
    doctor = Stage([args.binary, "doctor", "--json", *choice], left(0.5))
    results["doctor"] = doctor.document()
    save()
    if doctor.code != 0:
        print(doctor.text)
        sys.exit("the self-test failed: nothing is measured")
    if args.tests:
        environment = dict(os.environ, **({"MELGRAD_ADAPTER": args.adapter} if args.adapter else {}))
        tests = Stage([args.tests, "kernels", "networks", "--skip", "bench::"], left(0.4), environment)
        results["tests"] = dict(code=tests.code, seconds=tests.seconds, said=tests.text[-4000:])
        save()
        if tests.code is None:
            print("the tests were cut off: what they had not reached is not checked")
        elif tests.code != 0:
            print(tests.text[-4000:])
            sys.exit("a kernel disagrees with its reference: nothing is measured")
        else:
            print(f"every kernel agrees with its reference, in {tests.seconds} s")
    by_turns(args, results, save) if args.turns else once(args, results, save, left)
    save()
    print(f"\n{results['seconds']:.0f} s in all")


if __name__ == "__main__":
    main()
