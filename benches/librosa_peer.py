"""Times librosa on the clip of `benches/features.rs`, then runs that bench: both front ends in one go, one core each.

    pip install librosa==0.11.0
    python benches/librosa_peer.py [REPEATS]
"""

import os

for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import subprocess
import sys
import time

import librosa
import numpy as np

RATE, SECONDS = 22_050, 30


def clip(seed: int) -> np.ndarray:
    """Tones over noise, as features.rs makes them."""
    count = RATE * SECONDS
    state, noise = (seed * 2_654_435_761 + 12_345) % 2**32, np.empty(count, np.float32)
    for index in range(count):
        state = (state * 1_664_525 + 1_013_904_223) % 2**32
        noise[index] = (state >> 8) / 2**23 - 1.0
    t = np.arange(count, dtype=np.float32) / RATE
    return (np.sin(t * 1382.3) * 0.3 + np.sin(t * 6283.2) * 0.2 + 0.2 * noise).astype(np.float32)


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    y = clip(1)

    def run() -> np.ndarray:
        power = librosa.feature.melspectrogram(y=y, sr=RATE, n_fft=2048, hop_length=1024, n_mels=128)
        return librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=80.0)

    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    best, median = min(times), sorted(times)[repeats // 2]
    print(f"librosa {librosa.__version__}, one core: best {best:.3f} ms, median {median:.3f} ms per {SECONDS} s clip", flush=True)
    subprocess.run(["cargo", "bench", "--bench", "features", "--", str(repeats)], check=True)


if __name__ == "__main__":
    main()
